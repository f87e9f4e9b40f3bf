"""The texts of buttons, and of the page where people press them, in each language. `{label}`, `{digit}`, `{sender}` and `{answer}` are
filled in."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clarion.content.localise.locales import choose


class ButtonWords(msgspec.Struct, frozen=True, kw_only=True):
    """One language."""

    acknowledge: str
    press: str
    """Said in a call: which digit stands for which answer."""
    title: str
    ask: str
    alert: str
    own_words: str
    send: str
    saved: str
    already: str
    closed: str
    acknowledged: str
    lost: str
    busy: str


WORDS: Mapping[str, ButtonWords] = {
    "en": ButtonWords(
        acknowledge="Acknowledge",
        press="For “{label}”, press {digit}.",
        title="Your answer",
        ask="{sender} asks for your answer.",
        alert="{sender} sent you an alert. Have you seen it?",
        own_words="In your own words",
        send="Send",
        saved="Your answer is saved: {answer}",
        already="Already answered: {answer}",
        closed="This question is closed. Nobody waits for an answer any more.",
        acknowledged="Acknowledged. You get no more messages about this.",
        lost="This link does not work. Part of it may be missing.",
        busy="Your answer could not be saved. Please try again in a minute.",
    ),
    "de": ButtonWords(
        acknowledge="Bestätigen",
        press="Für „{label}“ drücken Sie die {digit}.",
        title="Ihre Antwort",
        ask="{sender} bittet um Ihre Antwort.",
        alert="{sender} hat Ihnen einen Alarm gesendet. Haben Sie ihn gesehen?",
        own_words="Mit eigenen Worten",
        send="Senden",
        saved="Ihre Antwort ist gespeichert: {answer}",
        already="Bereits beantwortet: {answer}",
        closed="Diese Frage ist geschlossen. Niemand wartet mehr auf eine Antwort.",
        acknowledged="Bestätigt. Sie erhalten dazu keine weiteren Nachrichten.",
        lost="Dieser Link funktioniert nicht. Vielleicht fehlt ein Teil davon.",
        busy="Ihre Antwort konnte nicht gespeichert werden. Bitte versuchen Sie es in einer Minute noch einmal.",
    ),
    "es": ButtonWords(
        acknowledge="Confirmar",
        press="Para «{label}», pulse {digit}.",
        title="Su respuesta",
        ask="{sender} le pide una respuesta.",
        alert="{sender} le ha enviado una alerta. ¿La ha visto?",
        own_words="Con sus propias palabras",
        send="Enviar",
        saved="Su respuesta se ha guardado: {answer}",
        already="Ya se respondió: {answer}",
        closed="Esta pregunta está cerrada. Ya nadie espera una respuesta.",
        acknowledged="Confirmado. No recibirá más mensajes sobre esto.",
        lost="Este enlace no funciona. Puede que falte una parte.",
        busy="No se pudo guardar su respuesta. Inténtelo de nuevo en un minuto.",
    ),
    "fr": ButtonWords(
        acknowledge="Confirmer",
        press="Pour « {label} », appuyez sur {digit}.",
        title="Votre réponse",
        ask="{sender} vous demande une réponse.",
        alert="{sender} vous a envoyé une alerte. L’avez-vous vue ?",
        own_words="Avec vos propres mots",
        send="Envoyer",
        saved="Votre réponse est enregistrée : {answer}",
        already="Déjà répondu : {answer}",
        closed="Cette question est close. Plus personne n’attend de réponse.",
        acknowledged="Confirmé. Vous ne recevrez plus de messages à ce sujet.",
        lost="Ce lien ne fonctionne pas. Il en manque peut-être une partie.",
        busy="Votre réponse n’a pas pu être enregistrée. Veuillez réessayer dans une minute.",
    ),
    "it": ButtonWords(
        acknowledge="Conferma",
        press="Per «{label}», prema {digit}.",
        title="La sua risposta",
        ask="{sender} le chiede una risposta.",
        alert="{sender} le ha inviato un avviso. Lo ha visto?",
        own_words="Con parole sue",
        send="Invia",
        saved="La sua risposta è stata salvata: {answer}",
        already="Già risposto: {answer}",
        closed="Questa domanda è chiusa. Nessuno attende più una risposta.",
        acknowledged="Confermato. Non riceverà altri messaggi su questo.",
        lost="Questo link non funziona. Forse ne manca una parte.",
        busy="Non è stato possibile salvare la risposta. Riprovi tra un minuto.",
    ),
    "nl": ButtonWords(
        acknowledge="Bevestigen",
        press="Voor ‘{label}’ drukt u op {digit}.",
        title="Uw antwoord",
        ask="{sender} vraagt om uw antwoord.",
        alert="{sender} heeft u een waarschuwing gestuurd. Hebt u die gezien?",
        own_words="In uw eigen woorden",
        send="Versturen",
        saved="Uw antwoord is opgeslagen: {answer}",
        already="Al beantwoord: {answer}",
        closed="Deze vraag is gesloten. Niemand wacht nog op een antwoord.",
        acknowledged="Bevestigd. U krijgt hierover geen berichten meer.",
        lost="Deze link werkt niet. Misschien ontbreekt er een deel.",
        busy="Uw antwoord kon niet worden opgeslagen. Probeer het over een minuut opnieuw.",
    ),
    "pl": ButtonWords(
        acknowledge="Potwierdź",
        press="Aby wybrać „{label}”, naciśnij {digit}.",
        title="Twoja odpowiedź",
        ask="{sender} prosi o odpowiedź.",
        alert="{sender} wysyła Ci alarm. Czy go widzisz?",
        own_words="Własnymi słowami",
        send="Wyślij",
        saved="Twoja odpowiedź została zapisana: {answer}",
        already="Odpowiedziano już: {answer}",
        closed="To pytanie jest zamknięte. Nikt już nie czeka na odpowiedź.",
        acknowledged="Potwierdzono. Nie otrzymasz więcej wiadomości na ten temat.",
        lost="Ten link nie działa. Może brakować jego części.",
        busy="Nie udało się zapisać odpowiedzi. Spróbuj ponownie za minutę.",
    ),
    "pt": ButtonWords(
        acknowledge="Confirmar",
        press="Para “{label}”, pressione {digit}.",
        title="Sua resposta",
        ask="{sender} pede a sua resposta.",
        alert="{sender} enviou um alerta. Você o viu?",
        own_words="Com suas próprias palavras",
        send="Enviar",
        saved="Sua resposta foi salva: {answer}",
        already="Já respondido: {answer}",
        closed="Esta pergunta está encerrada. Ninguém mais espera uma resposta.",
        acknowledged="Confirmado. Você não receberá mais mensagens sobre isto.",
        lost="Este link não funciona. Talvez falte uma parte.",
        busy="Não foi possível salvar a sua resposta. Tente novamente em um minuto.",
    ),
    "tr": ButtonWords(
        acknowledge="Onayla",
        press="“{label}” için {digit} tuşuna basın.",
        title="Yanıtınız",
        ask="{sender} yanıtınızı istiyor.",
        alert="{sender} size bir uyarı gönderdi. Gördünüz mü?",
        own_words="Kendi sözlerinizle",
        send="Gönder",
        saved="Yanıtınız kaydedildi: {answer}",
        already="Zaten yanıtlandı: {answer}",
        closed="Bu soru kapandı. Artık kimse yanıt beklemiyor.",
        acknowledged="Onaylandı. Bu konuda başka mesaj almayacaksınız.",
        lost="Bu bağlantı çalışmıyor. Bir kısmı eksik olabilir.",
        busy="Yanıtınız kaydedilemedi. Lütfen bir dakika sonra yeniden deneyin.",
    ),
    "ar": ButtonWords(
        acknowledge="تأكيد",
        press="لاختيار «{label}» اضغط {digit}.",
        title="إجابتك",
        ask="{sender} يطلب إجابتك.",
        alert="أرسل إليك {sender} تنبيهًا. هل رأيته؟",
        own_words="بكلماتك الخاصة",
        send="إرسال",
        saved="تم حفظ إجابتك: {answer}",
        already="سبقت الإجابة: {answer}",
        closed="هذا السؤال مغلق. لم يعد أحد ينتظر إجابة.",
        acknowledged="تم التأكيد. لن تصلك رسائل أخرى بهذا الشأن.",
        lost="هذا الرابط لا يعمل. ربما ينقصه جزء.",
        busy="تعذر حفظ إجابتك. يرجى المحاولة مرة أخرى بعد دقيقة.",
    ),
    "ja": ButtonWords(
        acknowledge="確認する",
        press="「{label}」は{digit}を押してください。",
        title="ご回答",
        ask="{sender} が回答をお待ちしています。",
        alert="{sender} からアラートが届きました。ご覧になりましたか?",
        own_words="ご自身の言葉で",
        send="送信",
        saved="回答を保存しました: {answer}",
        already="すでに回答済みです: {answer}",
        closed="この質問は締め切られました。回答は受け付けていません。",
        acknowledged="確認しました。この件に関するメッセージは今後届きません。",
        lost="このリンクは使えません。一部が欠けている可能性があります。",
        busy="回答を保存できませんでした。1分ほどしてからもう一度お試しください。",
    ),
    "zh": ButtonWords(
        acknowledge="确认",
        press="“{label}”请按 {digit}。",
        title="您的回答",
        ask="{sender} 请您回答。",
        alert="{sender} 向您发送了一条警报。您看到了吗?",
        own_words="用您自己的话",
        send="发送",
        saved="您的回答已保存:{answer}",
        already="已有回答:{answer}",
        closed="此问题已关闭,不再接受回答。",
        acknowledged="已确认。您不会再收到与此相关的消息。",
        lost="此链接无效,可能不完整。",
        busy="您的回答未能保存,请一分钟后重试。",
    ),
}


def language_for(*locales: str) -> str:
    """The first of these languages that there is."""
    return choose(WORDS, *locales) or "en"


def words_for(*locales: str) -> ButtonWords:
    """In the first of these languages that there is."""
    return WORDS[language_for(*locales)]
