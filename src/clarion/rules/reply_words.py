"""The words of people who answer, by language: opt-outs, opt-ins and calls for help, and what may stand around them.

Written without accents where that is common, since `rules.replies` compares without them; case and punctuation do not count.
Further ones only cost a line. 47 CFR 64.1200(a)(10) names stop, quit, end, revoke, opt out, cancel and unsubscribe.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class ReplyWords(msgspec.Struct, frozen=True, kw_only=True):
    """The phrases of one language, separated by commas."""

    opt_out: str
    opt_in: str
    help: str
    around: str
    """May stand before and behind a phrase without changing what it means: politeness, and what one is to stop."""


WORDS: Mapping[str, ReplyWords] = {
    "en": ReplyWords(
        opt_out="stop, stopall, stop all, stop it, stop this, quit, end, revoke, opt out, optout, cancel, unsubscribe, remove me, "
        "take me off, unsubscribe me, opt me out, delete me, no more messages, no more texts, no more emails, "
        "dont text, do not text, dont message, do not message, dont contact, do not contact, dont email, do not email, "
        "dont send me, do not send me, leave me alone",
        opt_in="start, unstop, opt in, optin, subscribe, resubscribe, opt me in, subscribe me",
        help="help, info, information",
        around="please, pls, plz, kindly, thanks, thank you, thx, hi, hello, hey, dear, ok, okay, now, immediately, right away, me, "
        "sending, texting, messaging, emailing, contacting, messages, message, texts, text, sms, emails, email, "
        "all, any, these, those, your, you, from, to, my, number, the, list, anymore, any more, again, ever",
    ),
    "de": ReplyWords(
        opt_out="stop, stopp, abmelden, abmeldung, abbestellen, austragen, kundigen, widerruf, widerrufen, ich widerrufe, beenden, ende, "
        "aufhoren, keine nachrichten mehr, keine sms mehr, keine werbung mehr, nicht mehr schreiben, keine werbung, loschen",
        opt_in="start, anmelden, anmeldung, wieder anmelden",
        help="hilfe, info",
        around="bitte, danke, vielen dank, hallo, guten tag, sofort, jetzt, mich, mir, alle, alles, die, diese, nachrichten, sms, "
        "werbung, newsletter, von, aus, dem, verteiler, ab, an, meine, einwilligung",
    ),
    "fr": ReplyWords(
        opt_out="stop, arret, arreter, arretez, desabonner, desabonnez moi, me desabonner, desabonnement, desinscription, desinscrire, "
        "desinscrivez moi, me desinscrire, annuler, fin, resilier, plus de messages, plus de sms, revoquer",
        opt_in="start, reprendre, abonner, inscription, reabonner",
        help="aide, info, infos",
        around="svp, s il vous plait, sil vous plait, merci, bonjour, maintenant, immediatement, tout, tous, de, d, les, ces, vos, le, "
        "messages, message, sms, m, me, envoyer, m envoyer, des, publicite",
    ),
    "es": ReplyWords(
        opt_out="stop, alto, parar, pare, detener, baja, darme de baja, dar de baja, deme de baja, dame de baja, cancelar, cancela, "
        "fin, terminar, revocar, no mas mensajes, no mas sms, desuscribir, anular suscripcion, cancelar suscripcion, eliminar",
        opt_in="start, alta, iniciar, empezar, suscribir, reanudar",
        help="ayuda, info, informacion",
        around="por favor, porfavor, gracias, hola, ahora, ya, todo, todos, los, sus, mensajes, mensaje, sms, de, mi, numero, la, lista, "
        "enviar, enviarme, me, publicidad",
    ),
    "it": ReplyWords(
        opt_out="stop, basta, annulla, annullare, cancella, cancellami, cancellare, cancellarmi, disiscrivi, disiscrivimi, disiscrivere, "
        "disiscrivermi, disattiva, fine, revoca, revoco, rimuovi, rimuovimi, non scrivetemi, niente messaggi",
        opt_in="start, inizia, iscrivi, iscrivimi, attiva, riprendi",
        help="aiuto, info, informazioni",
        around="per favore, per cortesia, grazie, ciao, buongiorno, subito, adesso, tutto, tutti, i, con, messaggi, messaggio, sms, "
        "piu, dalla, lista, il, mio, numero, pubblicita",
    ),
    "pt": ReplyWords(
        opt_out="stop, parar, pare, sair, cancelar, cancele, descadastrar, descadastre me, remover, remova me, fim, encerrar, revogar, "
        "anular, desinscrever, nao quero receber, nao enviar mais, nao quero mais",
        opt_in="start, iniciar, comecar, voltar, inscrever, reativar",
        help="ajuda, info, informacao, informacoes",
        around="por favor, obrigado, obrigada, ola, oi, agora, ja, tudo, todas, todos, as, os, suas, mensagens, mensagem, sms, de, da, "
        "meu, numero, lista, enviar, me, mais",
    ),
    "nl": ReplyWords(
        opt_out="stop, stoppen, afmelden, uitschrijven, schrijf me uit, opzeggen, annuleren, einde, intrekken, verwijderen, "
        "geen berichten meer, geen sms meer, meld me af",
        opt_in="start, aanmelden, inschrijven, hervatten",
        help="help, hulp, info",
        around="alstublieft, alsjeblieft, aub, ajb, bedankt, dank u, dank je, hallo, nu, direct, mij, me, met, alle, de, deze, "
        "berichten, bericht, sms, van, lijst, sturen",
    ),
    "sv": ReplyWords(
        opt_out="stop, stopp, stoppa, sluta, avsluta, avregistrera, avregistrera mig, avanmal, avanmal mig, avboka, slut, aterkalla, "
        "ta bort mig, inga fler meddelanden, inga fler sms",
        opt_in="start, starta, anmal, registrera",
        help="hjalp, info",
        around="snalla, tack, hej, nu, genast, mig, alla, meddelanden, sms, skicka, era, fran, listan",
    ),
    "da": ReplyWords(
        opt_out="stop, stopp, afmeld, afmeld mig, afslut, slet, slet mig, slut, tilbagekald, opsig, ikke flere beskeder, ikke flere sms",
        opt_in="start, tilmeld, tilmeld mig",
        help="hjaelp, hjælp, info",
        around="venligst, tak, hej, nu, straks, mig, alle, beskeder, sms, med, at, sende, jeres, fra, listen",
    ),
    "no": ReplyWords(
        opt_out="stop, stopp, avslutt, avmeld, avmeld meg, meld meg av, slett meg, slutt, trekk tilbake, si opp, ikke flere meldinger",
        opt_in="start, pamelding, meld meg pa",
        help="hjelp, info",
        around="vennligst, takk, hei, na, straks, meg, alle, meldinger, sms, med, a, sende, fra, listen",
    ),
    "fi": ReplyWords(
        opt_out="stop, seis, lopeta, lopettakaa, peruuta, peru, poista, poista minut, en halua viesteja, ei enaa viesteja",
        opt_in="start, aloita, tilaa, jatka",
        help="apua, ohje, info",
        around="kiitos, hei, nyt, heti, kaikki, viestit, viestien, tekstiviestit, lahettaminen, minulle, listalta",
    ),
    "pl": ReplyWords(
        opt_out="stop, koniec, wypisz, wypisz mnie, wypisuje, rezygnuje, rezygnacja, anuluj, odwołuje, odwołaj, cofam zgode, "
        "usun, usun mnie, zakoncz",
        opt_in="start, zapisz, zapisz mnie, wznow",
        help="pomoc, info, informacja",
        around="prosze, dziekuje, dzieki, dzien dobry, czesc, teraz, natychmiast, mnie, z, wszystkie, wiadomosci, sms, sms y, wysyłac, "
        "listy, moja, na",
    ),
    "cs": ReplyWords(
        opt_out="stop, konec, odhlasit, odhlasit se, odhlaste me, zrusit, ukoncit, odvolavam, odvolat, odebrat, vymazat",
        opt_in="start, prihlasit, obnovit",
        help="pomoc, info, informace",
        around="prosim, dekuji, diky, dobry den, ahoj, ted, hned, me, vsechny, zpravy, sms, odber, souhlas, ze, seznamu",
    ),
    "tr": ReplyWords(
        opt_out="stop, dur, durdur, ıptal, iptal, iptal et, red, ret, cık, cıkıs, cik, cikis, son, mesaj atma, mesaj gonderme, abonelikten cık, listeden cıkar",
        opt_in="start, basla, basla, onay, devam",
        help="yardım, yardim, bilgi",
        around="lutfen, tesekkurler, merhaba, simdi, hemen, beni, bana, tum, butun, mesajları, mesajlari, mesaj, sms, artık, artik",
    ),
    "ru": ReplyWords(
        opt_out="стоп, отписаться, отписать, отпишите, отпишите меня, отписка, отмена, отменить, хватит, прекратите, прекратить, конец, "
        "отзываю согласие, удалите меня, больше не пишите, не пишите",
        opt_in="старт, подписаться, подписка, возобновить",
        help="помощь, инфо, справка",
        around="пожалуйста, спасибо, здравствуйте, привет, сейчас, немедленно, меня, мне, все, ваши, сообщения, смс, рассылку, рассылка, от, из, списка, присылать",
    ),
    "uk": ReplyWords(
        opt_out="стоп, відписатися, відписка, відпишіть, відпишіть мене, скасувати, припиніть, припинити, кінець, досить, відкликаю згоду, "
        "видаліть мене, не пишіть",
        opt_in="старт, підписатися, підписка, відновити",
        help="допомога, інфо, довідка",
        around="будь ласка, дякую, добрий день, привіт, зараз, негайно, мене, мені, всі, ваші, повідомлення, смс, розсилку, від, зі, списку",
    ),
    "el": ReplyWords(
        opt_out="στοπ, διακοπη, διαγραφη, καταργηση, ακυρωση, τελος, σταματηστε, σταματα, διαγραψτε με",
        opt_in="εναρξη, εγγραφη",
        help="βοηθεια, πληροφοριες",
        around="παρακαλω, ευχαριστω, γεια, τωρα, αμεσως, με, ολα, τα, μηνυματα, sms, να, στελνετε",
    ),
    "ja": ReplyWords(
        opt_out="停止, 配信停止, 解除, 登録解除, 解約, 退会, キャンセル, ストップ, 中止, やめて, 止めて, 送らないで, 配信不要",
        opt_in="開始, 再開, 登録, スタート",
        help="ヘルプ, 助けて, 情報",
        around="お願いします, おねがいします, ください, 下さい, お願い, を, して, 希望します, 希望, すぐに, メール, メッセージ, の, 配信",
    ),
    "zh": ReplyWords(
        opt_out="停止, 退订, 退訂, 取消, 取消订阅, 取消訂閱, 结束, 結束, 终止, 終止, 不要再发, 不要再發, 别再发, 別再發, 撤销, 撤銷",
        opt_in="开始, 開始, 订阅, 訂閱, 恢复, 恢復",
        help="帮助, 幫助, 信息, 資訊, 说明",
        around="请, 請, 谢谢, 謝謝, 您好, 你好, 短信, 簡訊, 消息, 訊息, 所有, 我, 给我, 給我, 发送, 發送, 了, 立即, 马上",
    ),
    "ko": ReplyWords(
        opt_out="중지, 정지, 수신거부, 수신 거부, 거부, 해지, 취소, 그만, 그만 보내세요, 탈퇴, 철회, 구독취소, 구독 취소, 스톱",
        opt_in="시작, 재개, 수신동의, 구독",
        help="도움말, 도움, 정보",
        around="제발, 감사합니다, 안녕하세요, 지금, 바로, 부탁합니다, 부탁드립니다, 해주세요, 해 주세요, 메시지, 문자, 모든, 합니다",
    ),
    "ar": ReplyWords(
        opt_out="توقف, قف, ايقاف, إيقاف, أوقف, اوقف, الغاء, إلغاء, الغاء الاشتراك, إلغاء الاشتراك, انهاء, إنهاء",
        opt_in="ابدأ, بدء, اشتراك, اشترك",
        help="مساعدة, معلومات",
        around="من فضلك, لو سمحت, شكرا, مرحبا, الآن, الان, الرسائل, رسائل, جميع, كل",
    ),
    "hi": ReplyWords(
        opt_out="बंद, बंद करो, बंद करें, रोको, रोकें, रद्द, रद्द करें, सदस्यता समाप्त, समाप्त",
        opt_in="शुरू, शुरू करें, चालू",
        help="मदद, सहायता, जानकारी",
        around="कृपया, धन्यवाद, नमस्ते, अभी, मुझे, सभी, संदेश, एसएमएस, भेजना",
    ),
}
"""By language (ISO 639-1). People write English words everywhere, so those count in every language."""
