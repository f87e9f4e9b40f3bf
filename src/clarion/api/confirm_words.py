"""The texts of the page on which somebody confirms a consent, in each language. `{what}` and `{sender}` are names, already escaped."""

from __future__ import annotations

import msgspec


class ConfirmWords(msgspec.Struct, frozen=True, kw_only=True):
    """One language."""

    ask_title: str
    ask: str
    confirm: str
    done_title: str
    done: str
    over_title: str
    over: str


CONFIRM_WORDS: dict[str, ConfirmWords] = {
    "en": ConfirmWords(
        ask_title="Please confirm",
        ask="Do you want messages about “{what}” from {sender}? You can unsubscribe at any time.",
        confirm="Yes, I want them",
        done_title="Thank you",
        done="You will get messages about “{what}” from {sender}.",
        over_title="This link is no longer valid",
        over="Its time is over, or a newer one was sent. Please sign up again.",
    ),
    "de": ConfirmWords(
        ask_title="Bitte bestätigen",
        ask="Möchten Sie Nachrichten zu „{what}“ von {sender} erhalten? Sie können sich jederzeit abmelden.",
        confirm="Ja, ich möchte sie",
        done_title="Vielen Dank",
        done="Sie erhalten Nachrichten zu „{what}“ von {sender}.",
        over_title="Dieser Link gilt nicht mehr",
        over="Seine Zeit ist abgelaufen, oder es wurde ein neuerer verschickt. Bitte melden Sie sich noch einmal an.",
    ),
    "fr": ConfirmWords(
        ask_title="Veuillez confirmer",
        ask="Souhaitez-vous recevoir des messages sur « {what} » de {sender} ? Vous pouvez vous désabonner à tout moment.",
        confirm="Oui, je le souhaite",
        done_title="Merci",
        done="Vous recevrez les messages sur « {what} » de {sender}.",
        over_title="Ce lien n’est plus valable",
        over="Il a expiré, ou un lien plus récent a été envoyé. Veuillez vous inscrire de nouveau.",
    ),
    "es": ConfirmWords(
        ask_title="Confirme, por favor",
        ask="¿Desea recibir mensajes sobre «{what}» de {sender}? Puede cancelar la suscripción en cualquier momento.",
        confirm="Sí, los quiero",
        done_title="Gracias",
        done="Recibirá mensajes sobre «{what}» de {sender}.",
        over_title="Este enlace ya no es válido",
        over="Ha caducado o se envió uno más reciente. Suscríbase de nuevo.",
    ),
    "pt": ConfirmWords(
        ask_title="Confirme, por favor",
        ask="Quer receber mensagens sobre “{what}” de {sender}? Você pode cancelar a qualquer momento.",
        confirm="Sim, quero receber",
        done_title="Obrigado",
        done="Você receberá mensagens sobre “{what}” de {sender}.",
        over_title="Este link não é mais válido",
        over="Ele expirou, ou um mais recente foi enviado. Inscreva-se novamente.",
    ),
    "ar": ConfirmWords(
        ask_title="يرجى التأكيد",
        ask="هل تريد تلقي رسائل حول «{what}» من {sender}؟ يمكنك إلغاء الاشتراك في أي وقت.",
        confirm="نعم، أريدها",
        done_title="شكرًا لك",
        done="ستصلك رسائل حول «{what}» من {sender}.",
        over_title="لم يعد هذا الرابط صالحًا",
        over="انتهت مدته، أو أُرسل رابط أحدث. يرجى الاشتراك مرة أخرى.",
    ),
    "ja": ConfirmWords(
        ask_title="確認してください",
        ask="{sender}からの「{what}」に関するメッセージを受け取りますか？いつでも配信停止できます。",
        confirm="はい、受け取ります",
        done_title="ありがとうございます",
        done="{sender}からの「{what}」に関するメッセージをお届けします。",
        over_title="このリンクは無効になりました",
        over="期限が切れたか、新しいリンクが送られました。もう一度お申し込みください。",
    ),
}
