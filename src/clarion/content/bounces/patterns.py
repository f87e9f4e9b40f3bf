"""What mail servers say in words, one pattern a line, lower case. `words` says in which order they count.

Nothing here repeats inside a repetition, so that a pattern takes time in proportion to the text.
"""

from __future__ import annotations

from clarion.content.bounces.verdict import BounceVerdict

SOFT, BLOCK = BounceVerdict.SOFT, BounceVerdict.BLOCK

_WHO = r"(?:user|recipient|rcpt|mail ?box|account|address|addressee|person|customer|e-?mail(?: address| account)?|alias|subscriber|inbox)"

FULL = (
    rf"{_WHO}(?:'s)? (?:\S{{1,80}} )?(?:is |was |has been |appears to be )?(?:full\b|over (?:its |the |their )?quota|overquota)",
    r"(?:over|exceed\w*|out of|beyond|insufficient|not enough|above|reached) (?:\S{1,30} ){0,4}(?:quota|storage|space\b)",
    r"quota(?: \S{1,30}){0,5} (?:exceed|full|reached|violat|limit)",
    r"quota ?exceed",
    r"over ?quota",
    r"mail ?box(?: size)? (?:limit|quota)",
    r"mail ?box (?:is |was )?(?:too large|overflow)",
    r"mail(?:box|folder)(?: \S{1,60}){0,2} is full",
    r"storage (?:limit|quota)",
    r"(?:too many|number of) messages (?:in|on|for) ",
    r"disk full",
    r"user has too many messages",
    r"exceeds? (?:the |its )?allowed size",
    r"message (?:is )?too (?:large|big|long)",
    r"(?:message|mail|body|data)(?:'s)? (?:\S{1,30} ){0,3}(?:exceed\w*|larger than|too large)(?: \S{1,30}){0,4} (?:size|limit|maximum|bytes|kb|mb)",
    r"exceeds? (?:\S{1,20} ){0,4}(?:message |maximum )?size",
    r"max(?:imum)? (?:message|mail) size",
    r"(?:message|mail) size (?:limit|exceeds|too|violat|is)",
    r"too (?:big|large) for|does(?:n't| not) have enough (?:\S{1,12} )?space|(?:block|inode)s? limit exceed|limit exc?eeded for this e-?mail",
    r"(?:disabled|locked|suspended|blocked) temporar|receiving limits?\b|ratelimited|cannot receive any more|not been collected",
    r"rate that prevents|receiving (?:mail|messages) (?:at a rate|too quickly)|mail too quickly",
    r"unavailable to take delivery|temporar\w+ (?:locked|disabled|suspended|inactive|deactivated|unavailable|closed)",
    r"postfach (?:ist )?(?:voll|überfüllt)|speicherplatz",
    r"boîte (?:aux lettres |de réception )?(?:est )?pleine",
    r"(?:buzón|casilla|mailbox) (?:está |esta )?llen[ao]|casella (?:\S{1,20} ){0,2}piena",
    r"переполнен|превышен\w* квот",
    r"メールボックスが(?:一杯|いっぱい|満杯)|容量(?:を超え|オーバー|不足)",
    r"(?:邮箱|郵箱|信箱|邮箱空间|收件箱)[^。]{0,8}(?:已满|已滿|满了|空间不足|空間不足|超出)|容量不足|超过(?:邮箱)?(?:容量|配额|限额)",
    r"postfach[^.;]{0,30}(?:voll|überfüllt|überschritten)|kontingent überschritten|postvak[^.;]{0,20} vol\b|skrzynka[^.;]{0,30}(?:pełna|przepełnion|przekroczon)",
    r"(?:boîte|messagerie|quota)[^.;]{0,40}(?:pleine|saturée|dépassé)|(?:buzón|cuota|casella|quota|caixa|cota)[^.;]{0,40}(?:llen[ao]|excedid|superad|pien[ao]|cheia|lotad|esgotad)",
    r"ящик[^.;]{0,30}(?:полон|заполнен|переполн)|(?:메일함|편지함|용량)[^.;]{0,20}(?:가득|초과|꽉)|メールボックス[^。]{0,12}(?:満杯|いっぱい|一杯|容量)|受信(?:容量|箱)[^。]{0,8}(?:超|いっぱい)",
    r"size limit",
    r"(?:couldn't|could not|can't|cannot|unable to|failed to) (?:create|open|write|append to|lock) ",
    r"\bgr[ea]y ?list|postgrey|not found, try again|malformed (?:or unexpected )?name server reply",
)
"""No room, too large, or come again later: the address is fine, whatever the code says."""

SENDER = (
    r"(?:after|our|to the|in reply to) (?:initial connection|helo|ehlo|mail from)\b[^5]{0,160}\b5\d\d\b",
    r"in reply to (?:mail from|helo|ehlo)\b",
    r"sender or (?:the )?recipient|backscatter|invalid (?:sender|mail from|return path)|sender invalid|emetteur invalide|sender \S{1,80} has no|domain may not exist or dns check|cannot resolve your|custom reverse dns|unsigned dsn",
    r"\[mail_from\]|my name was rejected|\bbatv\b|mail from not owned|purported responsible",
    r"\b(?:sender|client|your|source|sending|connecting) ip\b|\bip(?: address)?(?: \S{1,45}){0,4} (?:rejected|refused|denied|blocked|prohibited|(?:is |are )?(?:black ?)?listed)",
    r"groups\.google\.com|google groups",
    r"sender (?:e-?mail |mail )?(?:address|domain|id|verif\w*|unknown|does not exist|is not|not |rejected|denied|blocked|policy|name)",
    r"(?:sender|mail from|return|envelope)[\w' -]{0,30}(?:does not|doesn't|cannot|could not|couldn't|unable to|not) (?:be )?(?:exist|resolv|verif|valid|found|accept)",
    r"domain of (?:the )?sender",
    r"sender's? domain",
    r"(?:your|client|sending|connecting|helo|ehlo)[\w' -]{0,24} (?:host ?name|host|ip|ip address|server|domain|mta|address)\b[^.;]{0,60}?\b(?:not found|no ptr|does not|doesn't|blocked|refused|rejected|cannot|can't|not resolv|listed|blacklisted|mismatch|has no)",
    r"cannot find your (?:reverse )?host ?name",
    r"(?:reverse|rdns|r-dns|ptr)[ -]?(?:dns|record|lookup|host|name|resol|entry|pointer|address)?[^.;]{0,40}(?:fail|miss|not\b|no\b|does|required|invalid|suspicious|generic|match|unknown)",
    r"(?:no|missing|invalid|without|lacks?|have a?|bad) (?:\S{1,12} )?(?:ptr|reverse dns|rdns|reverse)",
    r"fix (?:your )?(?:reverse|ptr|dns)",
    r"unresolvable relay host|ip name lookup failed|ip address has no|forged host ?name",
    r"mismatch\w* (?:client|sender|source)",
    r"from: ?(?:header )?(?:domain|address) is invalid|provide a valid from",
    r"(?:helo|ehlo) (?:\S{1,30} ){0,3}(?:reject|invalid|not|need|must|deny|denied|mismatch|refused|argument)",
    r"invalid ip for sending",
)
"""It is about whom the mail came from, so what does not exist is not the recipient."""

NO_PROOF = (
    (
        r"no valid recipients from\b|too many (?:\S{1,20} ){0,3}(?:recipients?|users?|addresse?s?|rcpts?)|(?:maximum|limit)(?: \S{1,20}){0,4} (?:invalid|unknown|bad) (?:recipients?|users?|rcpts?)|(?:invalid|unknown|bad) (?:recipients?|users?|rcpts?) (?:limit|count|rate|threshold)",
        SOFT,
    ),
    (
        r"un-?verified (?:recipient |e-?mail )?address|(?:address|recipient|mailbox|user) (?:is |was |has |could |can )?(?:not|n't|never) (?:yet )?(?:be(?:en)? )?(?:verified|confirmed|validated)|(?:unable|failed|could not|cannot|can't|not able) to verify (?:the |this )?(?:recipient|address|user|mailbox|rcpt)|(?:recipient|address|callout|callforward) verif\w+ (?:\S{1,20} ){0,3}(?:in progress|fail\w*|error|deferred|timed? ?out)",
        SOFT,
    ),
    (
        r"\bon hold\b|\bheld (?:for|by|until)\b|pending (?:review|approval|activation|verification)|awaiting (?:activation|verification)|not (?:yet )?(?:been )?activated",
        SOFT,
    ),
    (
        r"(?:unavailable|not available|unreachable|closed|unknown|invalid) (?:to|for) (?:this |the |your |that )?(?:sender|domain|you\b|external|outside|originator)",
        BLOCK,
    ),
    (
        r"(?:due to|because of|based on|according to|per|by) (?:the )?(?:recipient|user|mailbox|customer|personal|account)(?:'s|s')? (?:\S{1,20} )?(?:preference|setting|choice|filter|rule)s?|by (?:the )?(?:recipient|user)(?:'s)? (?:request|choice)|(?:recipient|user|addressee)(?: \S{1,80})? (?:has |have )?(?:blocked|refuses?d?|declined|blacklisted|does not want|doesn't want) (?:you|your|mail|messages?|e-?mails?|this)|(?:recipient|user|mailbox|account|address)(?: \S{1,80})? (?:does not|doesn't|is not|isn't|not) accept(?:ing)? (?:\S{1,20} ){0,3}from\b",
        BLOCK,
    ),
)
"""They sound like a missing address and prove none, whatever code stands beside them: only what else is said counts."""

GONE = (
    r"\b5\d\d a@b[>:.]{0,3} (?:is )?(?:unknown|not known|invalid)\b",
    rf"(?:no such|unknown|invalid|non-?existent|inexistent|undeliverable|unrouteable|unroutable|unrecogni[sz]ed|illegal|disabled|inactive|expired|ambiguous|deleted|incorrect) (?:\S{{1,20}} )?(?:local[- ]?part|destination|{_WHO})",
    rf"{_WHO}s?(?: \S{{1,80}})? (?:not|isn't|is not|was not|wasn't|are not|cannot be|can't be|could not be|couldn't be|doesn't|does not|do not|don't|did not)(?: be| a| an| currently)?(?: \S{{1,20}})? (?:exist|found|find|known|know\b|recogni[sz]ed|valid|listed|active\b|here|hosted|defined|local\b|registered|deliverable|belong|alive|unique|present|identified)",
    rf"{_WHO}s?(?: \S{{1,80}})? (?:not|isn't|is not|was not|wasn't|are not|cannot be|can't be|could not be|couldn't be|doesn't|does not) (?:exist|found|known|recogni[sz]ed|valid|listed|active\b|unique|present)",
    rf"{_WHO}(?: \S{{1,80}})? (?:is |has been |was |appears to be |currently |now )?(?:\S{{1,20}} )?(?:unknown|invalid|disabled|inactive|inactivated|suspended|discontinued|closed|deactivated|terminated|expired|deleted|removed|locked|cancell?ed|undeliverable|abandoned|unroutable|unrouteable|non-?existent|dormant|frozen|misspelled)",
    rf"{_WHO}s?(?: \S{{1,80}}){{0,7}} (?:does ?n[o']?t|doesnt|dosn't|do not|don't) exist",
    r"(?:remote |recipient )?domain(?: \S{1,80}){0,3} (?:does not|doesn't|doesnt) exist",
    r"(?:recipient|user|mailbox)'?s? (?:\S{1,20} )?account (?:is|has been) (?:blocked|locked|frozen)",
    r"mailbox name (?:is )?(?:not allowed|invalid)|bad ?rcptto|can't accept user|recipient (?:\S{1,12} )?not ?(?:found|ok)\b",
    r"(?:address|mailbox|account) no longer accepts|rcpt(?: \S{1,80})? (?:does not|doesn't|dosn't) exist",
    r"(?:unknown|invalid|no such|no) (?:\S{1,30} )?(?:user|recipient|mailbox|rcpt|local part)\b(?! name| password|-agent| agent|s? (?:names?|specified) (?:or|and))",
    r"(?:user|recipient|rcpt|mailbox|address) ?(?:unknown|not found|non.?exist|invalid)",
    r"user[-_]unknown|unknown[-_]user|usernotfound|nosuchuser|recipientnotfound|recipnotfound|resourcenotfound|addr_unknown|reject_unknown_recipient",
    r"(?:doesn't|does not|don't|didn't) have an? [^;]{0,60}account",
    r"no (?:mailbox|account|user|person|recipient|valid recipient)s?(?: \S{1,20}){0,2} (?:here|by that|by this|with|found|is|at|for|matching|specified|given|has)",
    r"no such (?:\S{1,30} )?(?:mailbox|user|account|recipient|address|person|addressee|alias|domain|host|customer|name|here|id)\b",
    r"no mail[- ]?box\b",
    r"not our customer",
    r"not an? (?:valid|known|registered|local|working|active|existing) (?:\S{1,20} )?(?:user|mailbox|recipient|address|account|e-?mail)",
    r"not (?:listed|found|known|defined) in (?:the |our |domino |public |domain|directory)",
    r"does not accept (?:any )?(?:e-?mails?|mails?|messages?)(?! from| for)",
    r"null ?mx|no smtp service here|does not receive e?-?mail|doesn't receive e?-?mail",
    r"no longer (?:\S{1,20} ){0,3}(?:available|valid|exists?|active|in use|used|with|employed|works?|monitored|in service|here|receiv|at this)",
    r"(?:has|have) (?:moved|been moved)\b",
    r"moved to (?:a )?new|moved to \S{1,80}@|address (?:has |was )?changed|new (?:e-?mail )?address is",
    r"recipient address rejected: (?:invalid|unknown|undeliverable|address)",
    r"\b5\.4\.1\b[^;]{0,160}recipient address rejected: access denied|\b5\.1\.10\b",
    r"no ?(?:one|body) at this address|no valid recipients?\b|recipient unrecogni[sz]ed|address(?:es)? (?:was|were) unknown|not in my validrcptto",
    r"indicated no smtp service|(?:address|mailbox) is wrong\b|no(?:t have a)? final e?-?mail delivery point|not a registered \S{1,20} user",
    r"access denied[^.;]{0,20} as\(",
    r"host(?:name)?(?: or domain name)?(?: \S{1,80}){0,2} (?:is )?(?:not found|unknown|does not exist|not exist|couldn't be found|could not be (?:found|resolved))",
    r"host unknown|unknown host|host not found",
    r"domain(?: name)?(?: \S{1,80}){0,2} (?:is |was |does |has |could |couldn't )?(?:not found|not exist|doesn't exist|unknown|not be found|be found|wasn't found|not valid|expired|invalid|has no mx|no mx|non-?existent)",
    r"(?:couldn't|could not|can't|cannot|unable to) (?:find|resolve|locate|look ?up)(?: \S{1,20}){0,3} (?:host|domain|mx|mail exchanger|user|mailbox|recipient|mailserver)",
    r"nxdomain|no (?:mx|mail exchanger|mx or a|a or mx)s? ?(?:record|host|found|or)",
    r"(?:illegal|invalid) host/?|bad destination",
    r"host address lookups failed permanently|answer with no data|no valid mx (?:host|record)",
    r"unrouteable|unroutable|all relevant mx records point to non-?existent",
    r"bad[ _](?:destination|recipient)",
    r"name or service not known",
    r"address(?:es)? (?:couldn't|could not|wasn't|cannot) (?:be )?found",
    r"(?:wasn't|weren't|couldn't be|could not be|not) found (?:at|in|on) ",
    r"(?:domain|recipient) (?:is|was) not reachable|the domain is not reachable",
    r"\[suspend\]|mailbox currently suspended|disabled or discontinued|inactive user",
    r"deactivated (?:mailbox|account|user|due)",
    r"unknown or illegal|invalid final delivery user",
    r"not accepting network messages",
    r"address rejected: (?:user )?unknown",
    r"(?:recipient|user|mailbox) rejected$",
    r"(?:adresse|empfänger|benutzer|postfach|konto)[^.;]{0,40}(?:existiert nicht|nicht gefunden|unbekannt|ungültig|nicht vorhanden|deaktiviert|gesperrt)",
    r"(?:destinataire|adresse|utilisateur|compte|boîte)[^.;]{0,40}(?:inconnu|introuvable|n'existe pas|invalide|désactivé|inexistant|n'a pas été trouvé|est bloqu|non répertorié)|non répertorié dans",
    r"(?:dirección|usuario|cuenta|buzón|casilla|destinatario)[^.;]{0,40}(?:no existe|desconocid|no se encontr|inválid|no encontrad|deshabilitad|expirad)|no existe (?:dicha|esa|el|la|este|ese)|no se encuentra en el directorio",
    r"(?:indirizzo|utente|casella|destinatario)[^.;]{0,40}(?:non esiste|sconosciut|inesistente|non trovat|non valid|disabilitat)|nessun utente",
    r"(?:endereço|usuário|utilizador|conta|caixa|destinatário)[^.;]{0,40}(?:não existe|desconhecid|inválid|não encontrad|inexistente|desativad)",
    r"(?:пользовател|адрес|ящик|получател|учетн)[^.;]{0,60}(?:не существует|не найден|неизвест|заблокирован|отключен|удал|не зарегистрирован)",
    r"несуществующ|недействительн\w* (?:адрес|получател)",
    r"(?:adresse|empfänger|benutzer|postfach|konto)[^.;]{0,60}(?:konnte nicht gefunden|wurde nicht gefunden|existierte? nicht|gibt es nicht|nicht bekannt|gelöscht|geschlossen|stillgelegt)|(?:unbekannter|kein solcher|ungültiger) (?:empfänger|benutzer|nutzer)|unbekannte adresse",
    r"(?:destinataire|adresse|utilisateur|compte|boîte)[^.;]{0,60}(?:est introuvable|n'est pas valide|a été (?:supprim|désactiv|ferm)|n'existe plus)",
    r"(?:dirección|usuario|cuenta|buzón|casilla|destinatario)[^.;]{0,60}(?:no (?:es|se ha) (?:válid|encontrad)|ha sido (?:elimin|desactiv|cerrad)|no pudo encontrarse|ya no existe)",
    r"(?:indirizzo|utente|casella|destinatario)[^.;]{0,60}(?:non è stato trovat|non è valid|è stat\w (?:disattivat|eliminat|chius)|non esiste più)",
    r"(?:endereço|usuário|utilizador|conta|caixa|destinatário)[^.;]{0,60}(?:não foi (?:encontrad|possível encontrar)|não é válid|foi (?:desativad|excluíd|encerrad)|não existe mais)",
    r"(?:gebruiker|adres|postvak|ontvanger|account)[^.;]{0,40}(?:bestaat niet|onbekend|niet gevonden|ongeldig|opgeheven)",
    r"(?:użytkownik|adres|skrzynk|odbiorc|konto)[^.;]{0,40}(?:nie istnieje|nieznan|nie znalezion|nie został[ao]? znalezion|nieprawidłow|usunięt)|nie ma takiego (?:użytkownika|adresu|konta)",
    r"(?:adressen?|mottagaren?|användaren?|brugeren?|modtageren?|mottakeren?|postkassen?|kontoen?)[^.;]{0,40}(?:finns inte|existerar inte|hittades inte|okänd|findes ikke|eksisterer ikke|blev ikke fundet|ukendt|finnes ikke|ble ikke funnet|ukjent)",
    r"(?:kullanıcı|adres|alıcı|posta kutusu|hesap)[^.;]{0,40}(?:bulunamadı|mevcut değil|geçersiz|yok\b)",
    r"(?:uživatel|adresa|schránka|příjemce)[^.;]{0,40}(?:neexistuje|neznám|nenalezen|nebyl[ao]? nalezen)|a címzett (?:nem létezik|ismeretlen)",
    r"(?:收件人|邮箱|用户|用戶|地址|帐户|帳戶|账户|郵箱|信箱|收件者)[^。;]{0,30}(?:不存在|未找到|找不到|无效|無效|已(?:被)?(?:注销|停用|禁用|删除|關閉|关闭))|无效(?:的)?(?:收件人|地址|用户)|查無此人|查无此人|無此(?:用戶|使用者|帳號)",
    r"(?:アドレス|宛先|メールボックス|アカウント|ユーザー?)[^。;]{0,30}(?:存在しない|存在していません|無効(?!か)|削除され|見つからない(?!か)|見つかりません|使われておりません)|該当する(?:ユーザー?|アドレス)",
    r"(?:수신자|사용자|계정|주소|메일함|편지함)[^.;]{0,30}(?:존재하지|찾을 수 없|없는|없습니다|유효하지|삭제|휴면)",
    r"存在しません|宛先不明|(?:宛先|ユーザー?|アドレス|ディレクトリ|リスト)[^。]{0,30}(?:ありません|見つかりません|不明)",
    r"(?:不存在|无此用户|用户未找到|找不到(?:收件人|用户|邮箱))",
    r"존재하지 않",
    r"onbekend(?:e)? (?:gebruiker|adres)|bestaat niet|kullanıcı bulunamadı",
)
"""The address or its domain does not exist, or was closed."""

BLOCKED = (
    r"(?<![a-z])(?:anti-?)?spam\w*|our system has detected that this message|senderfilter|from a different address or alias|\bgo away\b|ptr record|(?:start)?tls (?:is )?required|requires? (?:start)?tls|\bjunk|unsolicited|\bbulk (?:e-?)?mail|mass ?mail|\buce\b|\bube\b",
    r"black ?list\w*|block ?list\w*|deny ?list|\brbls?\b|\bdns[bw]l|\buribl|\bsurbl|spamhaus|spamcop|barracudacentral|\bsorbs|senderbase|senderscore|cloudmark|invaluement|abuseat|\bcbl\b|psbl|\bpbl\b|\bsbl\b|\bxbl\b|trustedsource",
    r"\bblocked\b|\bblocking\b|\bbanned\b",
    r"reputation|untrusted|complaints?\b|delist",
    r"polic(?:y|ies)\b",
    r"no access from|smtp server of your isp|ask your postmaster for help|third-party dsn|non-?compliant|organizational settings|non-?member|members-only|is not verified",
    r"\b(?:sc|dy|ou)-00\d\b|\((?:rtr|con|rly|dns|hvu|dyn):[a-z]{1,2}\d?\)|\[(?:tss?|bl|ph|ipts)\d{2}\]|\bipts\d{2}\b",
    r"(?:access|permission|connection|session|transmission|submission) (?:\S{1,20} )?(?:denied|forbidden|not allowed|not permitted|prohibited|disallowed)",
    r"not (?:allowed|authori[sz]ed|permitted|authenticated|acceptable|welcome|trusted|whitelisted|accepted for|accepting (?:mail|messages|connections) from|compliant|rfc)",
    r"unauthori[sz]ed|unauthenticated|authentication (?:required|is required|failed|failure|information|check|result)|requires? authentication|must (?:be )?authenticate",
    r"\bspf\b|\bdkim|\bdmarc|\bsender ?id\b|domainkey|\bdane\b|tlsa",
    r"virus|malware|\bworm\b|trojan|infect|phish|malicious|executable",
    r"(?:message|content|mail|e-?mail)(?: \S{1,20})? (?:was |has been |is )?(?:filtered|discarded|quarantin|classified|identified|considered|detected|looks|scored|flagged|suspected)",
    r"content (?:filter|rejected|polic|scan|restriction|violation)|message (?:content|body) rejected|rejected (?:\S{1,20} )?content",
    r"\bfilter(?:ed|ing|s)?\b",
    r"suspicio|suspect|\babus(?:e|ive)\b|fraud|scam|forg(?:ed|ery|ing)|spoof|bogus|impersonat",
    r"relay(?:ing)? (?:access )?(?:denied|not|prohibited|is not|disallowed|attempt)|(?:not|unable to|cannot|refus\w+ to|won't|does not|will not|do not|don't) relay|not a relay|open relay|rcpthosts|not (?:a )?gateway|relaying|mail relay|as a relay|to relay (?:mail|for)|relay error|my list of allowed|(?:not|n't) handle mail for|remote domains not supported",
    r"bad (?:sender|helo|reputation|ip\b|mail from|sending)|dynamic(?:ally)? (?:ip|assigned|address|pool|\S{0,12} ?ip)|dialup|dial-up|residential|(?:is|are|was|been) listed|listed (?:at|in|on|by)",
    r"security (?:polic|reason|violation|rule|filter|check)|message refused|administrative(?:ly)? prohibit|prohibition|prohibited|violat|(?:with|per|see|to|by|in|of|not) rfc[ -]?\d{3,4}\b(?!;)|\brfc[ -]?\d{3,4} (?:violation|complian\w+|section|standard|format|syntax|require)|unwanted|undesired|whitelist|allow ?list|moderat|not (?:a )?member|not subscribed|closed mailing list|list of senders|members? (?:only|can)|only (?:members|certain|allowed)|do(?:es)? not (?:want|wish)",
    r"(?:do(?:es)? not|don't|not) have (?:\S{1,20} )?permission|may not have permission|no permission|restricted",
    r"unerwünscht|richtlinie|indésirable|no deseado|спам|запрещ|迷惑|スパム|権限|垃圾|权限|屏蔽",
)
"""The receiver does not want the sender or the content."""

THROTTLED = (
    r"too many (?:connections|sessions|concurrent|errors|invalid|bad|requests|unknown|hits|simultaneous|attempts)|rate[ -]?limit|throttl|unusual rate|excessive|too fast|slow down|sending too|sent to too many|(?:daily|hourly) (?:\S{1,20} )?(?:quota|limit)|permits \d+",
    r"too (?:many|much) (?:\S{1,20} ){0,2}(?:messages?|mails?|e-?mails?|deliver\w+|traffic|data)|(?:messages?|mails?|e-?mails?|connections?|recipients?) per (?:second|minute|hour|day)|(?:sending|message|connection|mail|delivery) (?:rate|limit|frequency|volume)|(?:rate|volume|frequency) of (?:\S{1,20} )?(?:messages?|mails?|e-?mails?|connections?)|try (?:sending )?(?:more slowly|less often)|reduce (?:your |the )?(?:\S{1,20} )?(?:rate|volume|speed)|frequency limit|flood|发送频率|频率(?:过高|限制)|送信(?:数|量|制限)",
)
"""Less, please: from whom it comes when it is for good, else only for now."""

OUT_OF_REACH = (
    r"temporar\w*|transient|try (?:again|later|back)|retried|retries|retrying|\bdefer\w*|gr[ea]y ?list",
    r"timed[ -]?out|timeout|not responding|no response|did not respond|didn't respond|unreachable|no route",
    r"(?:connection|connect|network|session)\w*(?: \S{1,40}){0,3} (?:refused|reset|closed|dropped|lost|failed|broken|unreachable|interrupted|terminated|aborted|died)",
    r"did not accept our requests to connect|host not reachable",
    r"lost connection|(?:could not|couldn't|cannot|unable to) (?:connect|establish|contact|deliver for)",
    r"too many hops|hop count|mail loop|loops back|\bloop(?:ing|s)?\b|routing",
    r"dns (?:error|failure|problem|fail|server|lookup)|servfail|name (?:service|server) (?:error|problem)|lookup fail\w*|soft error",
    r"message(?: \S{1,20})? (?:expired|delayed)|delivery (?:time )?(?:has )?(?:expired|been delayed)|been delayed|is delayed|warning message only|been failing|in the queue too long|queue too long|too long in|for too long|maximum (?:retry|queue) time|not (?:yet )?been delivered|retry time",
    r"system (?:error|problem|failure|resources|incorrectly configured)|internal (?:\S{1,20} )?error|internal software|local (?:error|configuration)|configuration error|misconfigur|out of memory|i/?o error|input/output|(?:cannot|can't|couldn't|unable to) (?:create|open|write|append|lock|exec)|no such file|permission denied|command (?:died|failed|output)|exit(?:ed)? (?:status|with)|unknown mailer|mailer error|procmail|pipe to ",
    r"service (?:is )?(?:unavailable|not available|shutting|temporarily)|server (?:is )?(?:busy|down|unavailable|error)|too busy|overload|maintenance|shutting down",
    r"protocol error|syntax error|bad sequence|not implemented|unrecogni[sz]ed (?:command|parameter)|smtputf8|8bitmime|unsupported|conversion (?:not|required)|starttls|handshake|certificate|\btls\b",
    r"vorübergehend|zeitüberschreitung|nicht erreichbar|temporaire|temporalmente|временн|一時的|暂时",
)
"""It may work another time."""

NO_MAILBOX = (
    r"mailbox (?:\S{1,80} )?(?:is )?(?:unava\w{2,5}ble|not available)|account unavailable|\bdoes(?: not|n't) exist\b",
    r"(?:recipient|user|rcpt|address|recipient address|addressee)(?: \S{1,80})? (?:was |is |has been )?(?:rejected|refused|denied|declined|not accepted|unavailable)",
    r"does not like recipient",
    r"invalid (?:address|domain|host)|bad address|unknown (?:address|domain)|address unknown",
    r"(?:rejected|refused|declined) (?:the )?(?:recipient|address)",
)
"""Usually about the address, when the reply says that it is for good."""

REFUSED = (
    r"reject|refus(?:e|ed|es|ing)\b|denied|declin|not accept|unacceptable|prohibit|forbidden|disallow|restrict",
    r"security(?! suite)|authenticat|verif(?:y|ication)|challenge|confirm|attachment|mime\b|malformed|charset|header",
    r"abgelehnt|abgewiesen|zurückgewiesen|verweigert|refusé|rejeté|rechazad|denegad|rifiutat|respint|rejeitad|recusad|отклонен|отказ|拒否|拒绝|拒收",
)
"""Somebody refused something, and no more is known."""
