"""The texts of the unsubscribe page in each language. `{category}` and `{sender}` are names, already escaped."""

from __future__ import annotations

import msgspec


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """One language."""

    ask_title: str
    ask: str
    leave: str
    done_title: str
    done: str
    undo: str
    back_title: str
    back: str
    lost_title: str
    lost: str
    busy_title: str
    busy: str


RIGHT_TO_LEFT = frozenset({"ar"})

WORDS: dict[str, Words] = {
    "en": Words(
        ask_title="Unsubscribe?",
        ask="Do you no longer want emails about “{category}” from {sender}?",
        leave="Unsubscribe",
        done_title="You are unsubscribed",
        done="You will get no more emails about “{category}” from {sender}.",
        undo="Subscribe again",
        back_title="You are subscribed",
        back="You will get emails about “{category}” from {sender}.",
        lost_title="This link does not work",
        lost="Part of it may be missing. Please open it again from the email.",
        busy_title="Please try again",
        busy="Your request could not be saved. Please try again in a minute.",
    ),
    "de": Words(
        ask_title="Abmelden?",
        ask="Möchten Sie keine E-Mails zu „{category}“ von {sender} mehr erhalten?",
        leave="Abmelden",
        done_title="Sie sind abgemeldet",
        done="Sie erhalten keine E-Mails zu „{category}“ von {sender} mehr.",
        undo="Wieder anmelden",
        back_title="Sie sind angemeldet",
        back="Sie erhalten E-Mails zu „{category}“ von {sender}.",
        lost_title="Dieser Link funktioniert nicht",
        lost="Vielleicht fehlt ein Teil davon. Bitte öffnen Sie ihn noch einmal aus der E-Mail.",
        busy_title="Bitte versuchen Sie es noch einmal",
        busy="Das hat gerade nicht geklappt. Bitte versuchen Sie es in einer Minute noch einmal.",
    ),
    "es": Words(
        ask_title="¿Cancelar la suscripción?",
        ask="¿Ya no desea recibir correos sobre «{category}» de {sender}?",
        leave="Cancelar la suscripción",
        done_title="Suscripción cancelada",
        done="No recibirá más correos sobre «{category}» de {sender}.",
        undo="Volver a suscribirse",
        back_title="Suscripción activa",
        back="Recibirá correos sobre «{category}» de {sender}.",
        lost_title="Este enlace no funciona",
        lost="Puede que falte una parte. Ábralo de nuevo desde el correo.",
        busy_title="Inténtelo de nuevo",
        busy="No ha funcionado en este momento. Inténtelo de nuevo en un minuto.",
    ),
    "fr": Words(
        ask_title="Se désabonner ?",
        ask="Ne souhaitez-vous plus recevoir d’e-mails sur « {category} » de {sender} ?",
        leave="Se désabonner",
        done_title="Vous êtes désabonné(e)",
        done="Vous ne recevrez plus d’e-mails sur « {category} » de {sender}.",
        undo="Se réabonner",
        back_title="Vous êtes abonné(e)",
        back="Vous recevrez les e-mails sur « {category} » de {sender}.",
        lost_title="Ce lien ne fonctionne pas",
        lost="Il en manque peut-être une partie. Veuillez l’ouvrir de nouveau depuis l’e-mail.",
        busy_title="Veuillez réessayer",
        busy="Cela n’a pas fonctionné. Veuillez réessayer dans une minute.",
    ),
    "it": Words(
        ask_title="Annullare l’iscrizione?",
        ask="Non desideri più ricevere e-mail su «{category}» da {sender}?",
        leave="Annulla l’iscrizione",
        done_title="Iscrizione annullata",
        done="Non riceverai più e-mail su «{category}» da {sender}.",
        undo="Iscriviti di nuovo",
        back_title="Iscrizione attiva",
        back="Riceverai le e-mail su «{category}» da {sender}.",
        lost_title="Questo link non funziona",
        lost="Forse ne manca una parte. Aprilo di nuovo dall’e-mail.",
        busy_title="Riprova",
        busy="In questo momento non ha funzionato. Riprova tra un minuto.",
    ),
    "nl": Words(
        ask_title="Afmelden?",
        ask="Wilt u geen e-mails over ‘{category}’ van {sender} meer ontvangen?",
        leave="Afmelden",
        done_title="U bent afgemeld",
        done="U ontvangt geen e-mails over ‘{category}’ van {sender} meer.",
        undo="Weer aanmelden",
        back_title="U bent aangemeld",
        back="U ontvangt e-mails over ‘{category}’ van {sender}.",
        lost_title="Deze link werkt niet",
        lost="Misschien ontbreekt er een deel. Open de link opnieuw vanuit de e-mail.",
        busy_title="Probeer het opnieuw",
        busy="Dat lukte nu niet. Probeer het over een minuut opnieuw.",
    ),
    "pl": Words(
        ask_title="Wypisać się?",
        ask="Nie chcesz już otrzymywać e-maili „{category}” od {sender}?",
        leave="Wypisz mnie",
        done_title="Wypisano",
        done="Nie będziesz już otrzymywać e-maili „{category}” od {sender}.",
        undo="Zapisz mnie ponownie",
        back_title="Subskrypcja jest aktywna",
        back="Będziesz otrzymywać e-maile „{category}” od {sender}.",
        lost_title="Ten link nie działa",
        lost="Może brakować jego części. Otwórz go ponownie z e-maila.",
        busy_title="Spróbuj ponownie",
        busy="Teraz się nie udało. Spróbuj ponownie za minutę.",
    ),
    "pt": Words(
        ask_title="Cancelar a inscrição?",
        ask="Não quer mais receber e-mails sobre “{category}” de {sender}?",
        leave="Cancelar a inscrição",
        done_title="Inscrição cancelada",
        done="Você não receberá mais e-mails sobre “{category}” de {sender}.",
        undo="Inscrever-se novamente",
        back_title="Inscrição ativa",
        back="Você receberá e-mails sobre “{category}” de {sender}.",
        lost_title="Este link não funciona",
        lost="Talvez falte uma parte. Abra-o novamente a partir do e-mail.",
        busy_title="Tente novamente",
        busy="Não funcionou agora. Tente novamente em um minuto.",
    ),
    "tr": Words(
        ask_title="Abonelikten çıkılsın mı?",
        ask="{sender} tarafından gönderilen “{category}” e-postalarını artık almak istemiyor musunuz?",
        leave="Abonelikten çık",
        done_title="Abonelikten çıktınız",
        done="{sender} size artık “{category}” e-postası göndermeyecek.",
        undo="Yeniden abone ol",
        back_title="Abonesiniz",
        back="{sender} size “{category}” e-postaları gönderecek.",
        lost_title="Bu bağlantı çalışmıyor",
        lost="Bir kısmı eksik olabilir. Lütfen e-postadan yeniden açın.",
        busy_title="Lütfen yeniden deneyin",
        busy="Şu anda olmadı. Lütfen bir dakika sonra yeniden deneyin.",
    ),
    "ar": Words(
        ask_title="إلغاء الاشتراك؟",
        ask="ألم تعد ترغب في تلقي رسائل «{category}» من {sender}؟",
        leave="إلغاء الاشتراك",
        done_title="تم إلغاء اشتراكك",
        done="لن تصلك رسائل «{category}» من {sender} بعد الآن.",
        undo="الاشتراك من جديد",
        back_title="أنت مشترك",
        back="ستصلك رسائل «{category}» من {sender}.",
        lost_title="هذا الرابط لا يعمل",
        lost="ربما ينقصه جزء. يرجى فتحه مرة أخرى من الرسالة.",
        busy_title="يرجى المحاولة مرة أخرى",
        busy="لم ينجح ذلك الآن. يرجى المحاولة مرة أخرى بعد دقيقة.",
    ),
    "ja": Words(
        ask_title="配信を停止しますか?",
        ask="{sender} からの「{category}」に関するメールの配信を停止しますか?",
        leave="配信を停止する",
        done_title="配信を停止しました",
        done="{sender} からの「{category}」に関するメールは今後届きません。",
        undo="もう一度登録する",
        back_title="登録されています",
        back="{sender} から「{category}」に関するメールが届きます。",
        lost_title="このリンクは使えません",
        lost="リンクの一部が欠けている可能性があります。メールからもう一度開いてください。",
        busy_title="もう一度お試しください",
        busy="うまくいきませんでした。1分ほどしてからもう一度お試しください。",
    ),
    "zh": Words(
        ask_title="要退订吗?",
        ask="您不想再收到 {sender} 关于“{category}”的邮件吗?",
        leave="退订",
        done_title="您已退订",
        done="您不会再收到 {sender} 关于“{category}”的邮件。",
        undo="重新订阅",
        back_title="您已订阅",
        back="您将收到 {sender} 关于“{category}”的邮件。",
        lost_title="此链接无效",
        lost="链接可能不完整,请从邮件中重新打开。",
        busy_title="请重试",
        busy="刚才没有成功,请一分钟后重试。",
    ),
}
