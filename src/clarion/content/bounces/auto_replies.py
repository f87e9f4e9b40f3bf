"""Machines that answer for a person, and how to tell them from bounces."""

from __future__ import annotations

import re

from clarion.content.bounces import smtp_codes
from clarion.content.bounces.safe_mime import ParsedMail

_MACHINE = re.compile(
    r"mailer[-_ ]?daemon|post_?master|mail delivery|maildelivery|mail[-_ ]?system|mdaemon|mail administrator|"
    r"delivery (?:sub)?system|system administrator|mail[-_ ]?dispatcher|mail router|microsoftexchange|\bbounces?\b|daemon@",
    re.IGNORECASE,
)
_SYSTEM_ADDRESS = re.compile(r"\b(?:mailer[-_]?daemon|post_?master)@", re.IGNORECASE)
_BOUNCE_SUBJECT = re.compile(
    r"undeliver|non-?deliver|not? ?deliver|deliver\w* (?:status|failure|failed|problem|notif|error|report|fail|has|reject)|"
    r"fail(?:ure|ed)? (?:notice|delivery|to deliver|notif)|failed mail|returned (?:mail|e-?mail|to sender)|"
    r"returning (?:message|mail|your)|mail (?:delivery|failure|error|system)|\bbounced?\b|"
    r"(?:message|mail)(?: \S+){0,3} (?:failed|rejected|returned|undelivered|not (?:be )?sent|delayed)|message you sent|"
    r"could not be (?:delivered|sent)|warning: (?:message|could not)|delivery (?:delay|incomplete)|unzustellbar|nicht zustellbar|zurückgeschickt|non remis|"
    r"échec de (?:la )?(?:remise|distribution)|no se puede entregar|no entregado|devuelto|impossibile recapitare|"
    r"mancato recapito|não entregue|não é possível entregar|falha na entrega|onbestelbaar|niet bezorgd|недоставлен|"
    r"не доставлен|не может быть доставлен|配信不能|配送できません|送信できません|届きません|送信エラー|kohaletoimetamatu|kan ikke leveres|ikke leveret|olever(?:er|bar)|uleverbar|kunde inte levereras|"
    r"toimittamaton|ei voi(?:tu|da) toimittaa|niedostarcz|nie można dostarczyć|nedoručiteľ?n|kézbesíthetetlen|nelivra|teslim edileme|"
    r"δεν παραδόθηκε|niet bestelbaar|não (?:foi possível entregar|entregável)|no (?:se pudo entregar|entregable)|non (?:recapitabile|distribuable)|"
    r"recapito non riuscito|недостав|לא ניתן למסירה|غير قابل للتسليم|반송|未送达|無法(?:傳遞|送達)|không thể gửi|退信|投递失败|无法投递|배달되지",
    re.IGNORECASE,
)
_BOUNCE_TEXT = re.compile(
    r"(?:could not be delivered to|unable to deliver (?:\S+ ){0,3}to|was not delivered to|undeliverable to|"
    r"delivery (?:\S+ ){0,3}failed for)[:\s]{0,5}<?[^\s@<>]{1,64}@|"
    r"your (?:message|mail|e-mail) to <?[^\s@<>]{1,64}@[^\s<>]{1,255}>? (?:was (?:automatically )?rejected|could not be|cannot be|was not delivered)",
    re.IGNORECASE,
)
_REPLY_SUBJECT = re.compile(
    r"\bauto(?:mat\w+)?[-: ]{0,3}(?:re(?:ply|sponse|sponder)|answer|:)|autoreply|auto-?respon|\bout[- ]of[- ](?:the[- ])?office|"
    r"\booo\b|\bvacation\b|\bon (?:holiday|leave)\b|(?:away|absent) from|abwesen|automatische antwort|nicht im (?:büro|haus)|"
    r"\burlaub|réponse automatique|\babsen(?:ce|t)\b|en congés|respuesta automática|fuera de (?:la )?oficina|ausen(?:te|cia)\b|"
    r"risposta automatica|fuori (?:sede|ufficio)|\bassente\b|resposta automática|fora do escritório|ausência|"
    r"automatisch antwoord|afwezig|automatiskt svar|frånvaro|autosvar|automatisk svar|fravær|poissa|automaattinen vastaus|"
    r"odpowiedź automatyczna|automatyczna odpowiedź|nieobecno|автоответ|автоматический ответ|отсутств|в отпуске|"
    r"自動(?:応答|返信)|不在|休暇|自动(?:回复|答复)|自動回覆|外出|자동 ?(?:회신|응답)|부재중|otomatik yanıt|ofis dışı|"
    r"automatick[áéý] odpov[eě][dď]|automatikus válasz|răspuns automat|αυτόματη απάντηση|ตอบกลับอัตโนมัติ|trả lời tự động|automatski odgovor|"
    r"автоматичен отговор|автоматична відповідь|resposta automàtica|automaatvastus|automātiska atbilde|automatinis atsakymas|"
    r"samodejni odgovor|balasan otomatis|mimo kancelář|házon kívül|"
    r"رد تلقائي|خارج المكتب|מענה אוטומטי|^thank you for (?:your|contacting)|we (?:have )?received your|"
    r"^(?:read|gelesen|lu|leído|letto|lido):|read receipt|^not read\b|return receipt|disposition notification",
    re.IGNORECASE,
)
_ABSENT = re.compile(
    r"\b(?:i am|i'm|i will be|i'll be|we are|is) (?:currently |presently |now )?(?:\S+ ){0,2}?(?:out of (?:the |my )?office|out of town|"
    r"on (?:annual |sick |maternity |parental )?(?:leave|vacation|holidays?)|away (?:from|until|on)|not in the office|unavailable until)|"
    r"(?:limited|no) access to (?:my )?e-?mail|(?:this is an |this message is an? )?automat(?:ed|ic) (?:reply|response|answer)|no longer (?:works? (?:for|at)|with the company)|"
    r"bin (?:ich )?(?:zurzeit |derzeit |bis )?(?:\S+ ){0,4}(?:nicht im (?:büro|hause)|abwesend|im urlaub)|je (?:suis|serai) (?:actuellement )?(?:\S+ ){0,2}absent|"
    r"estoy fuera|estaré fuera|sono (?:attualmente )?(?:assente|fuori)|estou (?:ausente|de férias|fora)|ik ben (?:\S+ ){0,3}(?:afwezig|niet aanwezig)|"
    r"jag är (?:\S+ ){0,3}(?:ledig|bortrest|på semester)|mimo kancelář|na dovolen|na urlopie|lomalla|på ferie|en vacances|de vacaciones|in ferie\b|op vakantie|不在に|休暇を|お休み|外出中|我正在休假|自动回复",
    re.IGNORECASE,
)
"""Somebody is away. People write this too, so it counts only in what a machine has sent."""
_REPLY_FIELDS = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-mail-autoreply",
    "x-auto-response-from",
    "x-vacation",
)
_CHALLENGE = re.compile(
    r"boxbe\.com|spamarrest\.com|bluebottle\.com/verif|"
    r"(?:click|follow|visit) (?:\S+ ){0,4}(?:link|url|button)(?: \S+){0,4} to (?:have your \S+ )?(?:be )?(?:added|verify|confirm|prove)|"
    r"(?:prove|verify|confirm) (?:that )?you(?:'re| are) (?:a |an )?(?:human|person|real|not a)",
    re.IGNORECASE,
)


_QUOTED_SUBJECT = re.compile(
    r"\s*(?:re|fwd?|aw|wg|sv|vs|vb|vl|ant|antw(?:ort)?|doorst|tr|réf|rif|i|res|enc|rv|odp|pd|ynt|ilt|blz|továbbítás|atb|ha|hl|отв|ответ|пересл|回复|答复|转发|回覆|轉寄|返信|転送|회신|전달)"
    r"(?:\s?\[\d{1,3}\]|\s?\(\d{1,3}\)|\^\d{1,3})?\s?[:：]",
    re.IGNORECASE,
)
"""The subject of a mail that somebody answers or passes on."""


def is_challenge(mail: ParsedMail) -> bool:
    """Somebody's filter wants the sender to prove something, whatever shape its mail has."""
    return not _from_machine(mail) and _CHALLENGE.search(mail.text("text/plain")[:8000]) is not None


def comes_from_a_mail_system(mail: ParsedMail) -> bool:
    """Whether it is about the delivery of another mail: by its sender, else by its subject or text."""
    if is_by_a_person(mail):
        return False
    if _from_machine(mail):
        return True
    answers = _REPLY_SUBJECT.search(mail.header("subject")) is not None
    proven = mail.header("return-path") == "<>" or _has_evidence(mail)
    return not answers and reports_failure(mail) and proven


def _has_evidence(mail: ParsedMail) -> bool:
    """Whether it holds what people do not write: a report, the mail that came back, what a server answered."""
    text = mail.text("text/plain", "text/html")[:8000]
    return (
        _is_report(mail)
        or "x-failed-recipients" in mail.headers
        or bool(mail.text("message/rfc822", "text/rfc822-headers", "text/rfc822-header"))
        or says_undelivered(text)
        or smtp_codes.has_failure(text)
    )


def is_by_a_person(mail: ParsedMail) -> bool:
    """Whether somebody answers or passes on a mail by hand. What its subject says, the mail it is about has said."""
    if _is_report(mail) or _is_automatic(mail) or "x-failed-recipients" in mail.headers:
        return False
    if _SYSTEM_ADDRESS.search(mail.header("from")) is not None:
        return False
    answers = "in-reply-to" in mail.headers or "references" in mail.headers
    quotes = _QUOTED_SUBJECT.match(mail.header("subject")) is not None
    return (answers and quotes) or ((answers or quotes) and not _from_machine(mail))


def says_undelivered(text: str) -> bool:
    """Whether a text says that the mail to a named address was not delivered."""
    return _BOUNCE_TEXT.search(text) is not None


def reports_failure(mail: ParsedMail) -> bool:
    """Whether it says of itself that a mail was not delivered."""
    subject = mail.header("subject")
    return (
        "x-failed-recipients" in mail.headers
        or (_QUOTED_SUBJECT.match(subject) is None and _BOUNCE_SUBJECT.search(subject) is not None)
        or says_undelivered(mail.text("text/plain")[:4000])
    )


def is_auto_reply(mail: ParsedMail) -> bool:
    """RFC 3834, what came before it, and read receipts (RFC 8098)."""
    automatic = _is_automatic(mail)
    return (
        mail.header("auto-submitted").lower().startswith(("auto-replied", "auto-notified"))
        or any(name in mail.headers for name in _REPLY_FIELDS)
        or "auto_reply" in (mail.header("precedence") + mail.header("preference")).lower()
        or mail.header("x-apple-action").upper() == "VACATION"
        or mail.header("delivered-to").lower() == "autoresponder"
        or (_is_report(mail) and "disposition" in str(mail.headers.get_param("report-type")))
        or _REPLY_SUBJECT.search(mail.header("subject")) is not None
        or (automatic and ("in-reply-to" in mail.headers or _ABSENT.search(_beginning(mail)) is not None))
    )


def _is_report(mail: ParsedMail) -> bool:
    return mail.headers.get_content_type() == "multipart/report"


def _beginning(mail: ParsedMail) -> str:
    return mail.header("subject") + "\n" + mail.text("text/plain", "text/html")[:2000]


def _is_automatic(mail: ParsedMail) -> bool:
    """Written by a machine: RFC 3834, Exchange, vacation programs, and the empty return path (RFC 5321, 4.5.5)."""
    return (
        mail.header("auto-submitted").lower() not in ("", "no")
        or bool(mail.header("x-auto-response-suppress"))
        or "x-ms-exchange-inbox-rules-loop" in mail.headers
        or mail.header("precedence").lower() in ("bulk", "junk", "auto_reply")
        or mail.header("return-path") == "<>"
    )


def _from_machine(mail: ParsedMail) -> bool:
    return "x-failed-recipients" in mail.headers or _MACHINE.search(mail.header("from")) is not None
