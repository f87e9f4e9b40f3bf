"""What a mail that came back says: the class, the recipient, and which mail it was."""

import json
import time
from typing import Any

import pytest

from clarion.content.bounces import BounceVerdict, read
from tests.unit.content.returns import samples
from tests.unit.content.returns.samples import TAG, daemon, feedback, mail, report

HARD, SOFT, BLOCK = BounceVerdict.HARD, BounceVerdict.SOFT, BounceVerdict.BLOCK
COMPLAINT, AUTO_REPLY, DELIVERED, UNKNOWN = (
    BounceVerdict.COMPLAINT,
    BounceVerdict.AUTO_REPLY,
    BounceVerdict.DELIVERED,
    BounceVerdict.UNKNOWN,
)


@pytest.mark.parametrize(
    ("diagnostic", "status", "verdict"),
    [
        ("550 5.1.1 <ada@example.org>: Recipient address rejected: User unknown", "5.1.1", HARD),
        ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found by SMTP address lookup", "5.1.10", HARD),
        ("550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", "5.4.1", HARD),
        ("550 Requested action not taken: mailbox unavailable", "5.5.0", HARD),
        ("554 delivery error: dd This user doesn't have a yahoo.com account", "5.0.0", HARD),
        ("550 5.2.1 The email account that you tried to reach is disabled.", "5.2.1", HARD),
        ("Host or domain name not found. Name service error for name=example.org type=A", "5.4.4", HARD),
        ("The domain example.org doesn't receive email: returned Null MX", "4.0.0", HARD),
        ("", "5.1.1", HARD),
        ("552 5.2.2 Mailbox full", "5.2.2", SOFT),
        ("550 5.1.1 <ada@example.org> mailbox is full", "5.1.1", SOFT),
        ("552 5.3.4 Message size exceeds fixed maximum message size", "5.3.4", SOFT),
        ("connect to mx.example.org[192.0.2.1]:25: Connection refused", "4.4.1", SOFT),
        ("450 4.1.1 <ada@example.org>: Recipient address rejected: User unknown", "4.1.1", SOFT),
        ("451 4.7.1 Greylisted, please try again later", "4.7.1", SOFT),
        ("x-unix; procmail: Couldn't create /var/spool/mail/ada", "5.1.1", SOFT),
        ("", "5.0.0", SOFT),
        ("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", "5.7.1", BLOCK),
        ("550 5.7.26 This mail has been blocked because the sender is unauthenticated.", "5.7.26", BLOCK),
        ("550 5.7.515 Access denied, sending domain does not meet the requirements", "5.7.515", BLOCK),
        ("421 4.7.0 [TSS04] Messages from 192.0.2.1 deferred due to user complaints", "4.7.0", BLOCK),
        ("550 5.1.8 Sender address rejected: Domain not found", "5.1.8", BLOCK),
        ("554 5.7.1 Client host rejected: cannot find your reverse hostname", "5.7.1", BLOCK),
        ("554 Message rejected: identified as SPAM", "5.0.0", BLOCK),
        ("550 5.7.0 Your message was found to contain a virus", "5.7.0", BLOCK),
        ("554 5.7.1 <ada@example.org>: Relay access denied", "5.7.1", BLOCK),
        ("550 The email account that you tried to reach does not exist.", "5.0.0", HARD),
        ("554 RCPT (ada@example.org) dosn't exist", "5.0.0", HARD),
        ("550 mailbox ada@example.org unavailable", "5.0.0", HARD),
        ("556 5.1.10 Recipient address has a null MX", "5.0.0", HARD),
        ("550 5.7.1 User ada@example.org temporary locked. Please try again later!", "5.7.1", SOFT),
        ("550 5.2.1 The user is receiving mail at a rate that prevents additional messages", "5.2.1", SOFT),
        ("421 Too many connections, slow down.", "4.0.0", SOFT),
        ("452 4.3.2 Connection rate limit exceeded", "4.3.2", SOFT),
        ("550 Too many connections from your host", "5.0.0", SOFT),
        ("The recipient was unavailable to take delivery of the message", "5.0.0", SOFT),
        ("550 5.1.1 <news@example.com>: unauthorized sender", "5.1.1", BLOCK),
        ("554 Sender IP address rejected", "5.0.0", BLOCK),
        ("554 No SMTP service: IP address is black listed", "5.0.0", BLOCK),
        ("550 5.7.1 Unknown user or message looks like spam", "5.7.1", BLOCK),
        ("550 SC-002 Mail rejected for reasons of policy", "5.0.0", BLOCK),
        ("550 non répertorié dans l'annuaire Domino", "5.0.0", HARD),
        ("5.1.0 - Unknown address error 550-'5.7.1 Message blocked by policy'", "5.1.0", BLOCK),
    ],
)  # fmt: skip
def test_a_status_notification_is_judged_by_words_and_codes(diagnostic, status, verdict):
    """Words count before codes where they say more; nobody is gone while it may still work."""
    found = read(report(diagnostic, status))
    assert found.verdict is verdict
    assert (found.status, found.recipient, found.delayed) == (status, "ada@example.org", False)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", HARD),
        ("554 One or more of the sender or recipients in your email are invalid", BLOCK),
        ("550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required", BLOCK),
        ("551 RATELIMITED: ada@example.org cannot receive any more emails today.", SOFT),
    ],
)
def test_what_a_server_answered_counts_before_what_could_be(answer, verdict):
    """Reports of Microsoft 365 explain every reason there is, and quote the one that it was."""
    text = (
        "Your message to ada@example.org couldn't be delivered.\n\nHow to Fix It\n"
        "The sender address may be blocked, the mailbox full, or the recipient unknown.\n"
        f"Remote Server returned '{answer}'\n\nOriginal Message Details\nSender Address: news@example.com\n"
    )
    assert read(daemon(text, "Undeliverable: Hello")).verdict is verdict


PERSON = "Hi, the courier told me: 550 5.1.1 no such user at this address, but I live here. Kim"


@pytest.mark.parametrize(
    ("subject", "sender", "fields"),
    [
        ("Re: Delivery failed: order C-2041", "Kim <kim@example.org>", {"in_reply_to": "<1@example.com>"}),
        ("Re: Delivery failed: order C-2041", "Kim <kim@example.org>", {}),
        ("Delivery failed: order C-2041", "Kim <kim@example.org>", {"references": "<1@example.com>"}),
        ("AW: Nicht zustellbar: Paket", "kim@example.org", {}),
        ("Antwort: Mail delivery failed", "kim@example.org", {}),
        ("RE[2]: Undeliverable: order", "kim@example.org", {}),
        ("回复：退信", "kim@example.org", {}),
        ("Fwd: Undelivered mail returned to sender", "kim@example.org", {}),
        ("Re: Returned mail: User unknown", "Bounce House <info@example.org>", {"in_reply_to": "<1@example.com>"}),
    ],
)  # fmt: skip
def test_the_reply_of_a_person_is_no_bounce(subject, sender, fields):
    """Its subject is ours, and its words are those of a person, whatever both sound like."""
    assert read(mail(PERSON, subject, sender, **fields)).verdict is UNKNOWN


def test_a_person_who_writes_about_a_failed_delivery_is_no_bounce():
    """A subject alone proves nothing; it takes what people do not write."""
    text = "They say there is no such user at this address."
    assert read(mail(text, "Delivery failed: order C-2041")).verdict is UNKNOWN
    assert read(mail(text, "Re: Delivery failed", "postmaster@example.org")).verdict is UNKNOWN


@pytest.mark.parametrize(
    "subject",
    ["Re: Delivery failed: order", "Automatic reply: Delivery failed: order", "[#12] Delivery failed: order"],
)
def test_a_machine_that_answers_with_our_subject_is_no_bounce(subject):
    """The subject says what we said, not what the machine says."""
    away = mail("I am out of the office. No such user is here.", subject, auto_submitted="auto-replied")
    assert read(away).verdict is AUTO_REPLY


@pytest.mark.parametrize(
    "text",
    [
        "Your message could not be delivered.\n",
        "Your message\n\n  To:      ada@example.org\n  Subject: Your account was closed\n\ncould not be delivered.\n",
        'Your message "Your account was closed" could not be delivered.\n',
    ],
)
def test_our_own_subject_is_no_reason(text):
    """A notice quotes it in its subject and its text."""
    assert read(daemon(text, "Undeliverable: Your account was closed")).verdict is SOFT


@pytest.mark.parametrize(
    ("diagnostic", "status", "verdict"),
    [
        ("550 Too many invalid recipients", "5.0.0", SOFT),
        ("550 5.1.1 Maximum number of invalid recipients exceeded", "5.1.1", SOFT),
        ("550 5.1.1 Recipient address rejected: unverified address: Connection timed out", "5.1.1", SOFT),
        ("550 5.1.1 unverified address: host mx.example.org said: 550 5.1.1 User unknown", "5.1.1", HARD),
        ("550 5.1.1 recipient not verified", "5.1.1", SOFT),
        ("550 5.2.1 mailbox on hold", "5.2.1", SOFT),
        ("550 Account on hold pending review", "5.0.0", SOFT),
        ("550 5.1.1 Address not confirmed by its owner yet", "5.1.1", SOFT),
        ("550 Error: no valid recipients from 192.0.2.1", "5.0.0", SOFT),
        ("550 mailbox unavailable to sender", "5.0.0", BLOCK),
        ("550 mailbox is not available for external senders", "5.0.0", BLOCK),
        ("550 5.1.1 RCP-P2 Refused due to recipient preferences", "5.1.1", BLOCK),
        ("550 user has blocked you", "5.0.0", BLOCK),
        ("550 5.2.1 mailbox not accepting messages from this sender", "5.2.1", BLOCK),
    ],
)
def test_what_only_sounds_like_a_missing_address_proves_none(diagnostic, status, verdict):
    """Whatever code stands beside it; a proof behind it counts."""
    assert read(report(diagnostic, status)).verdict is verdict


@pytest.mark.parametrize(
    "diagnostic",
    [
        "554 5.7.1 rate limit exceeded",
        "550 5.7.1 You have exceeded the maximum number of messages per hour",
        "552 5.2.0 too many messages from your host, slow down",
        "554 Too much mail from 192.0.2.1",
        "550 5.4.5 Daily user sending limit exceeded",
        "550 5.1.1 203.0.113.2 has sent to too many recipients this hour",
        "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
        "554 5.7.1 Connection frequency limited",
    ],
)
def test_throttling_is_soft_whatever_the_code(diagnostic):
    """Less or later will do: nobody is gone, and nobody is blocked for good."""
    assert (
        read(report(diagnostic, diagnostic.split()[1] if diagnostic[4:6] == "5." else "5.0.0")).verdict
        is SOFT
    )


@pytest.mark.parametrize(
    ("raw", "verdict"),
    [
        (daemon("Not delivered:\n Original-Recipient: rfc822;ada@example.org\n Reason: busy\n"), SOFT),
        (report("", "5.0.0", said="This failed: rfc822; ada@example.org (message/rfc822, text/rfc822-headers)"), SOFT),
        (daemon("These addresses failed:\n rfc822;ada@example.org\n no such user\n"), HARD),
        (report("550 5.6.0 Message does not comply with RFC 5322", "5.6.0"), BLOCK),
    ],
)  # fmt: skip
def test_the_name_of_a_format_is_no_block(raw, verdict):
    """Reports are full of "rfc822"; only a mail said to break a standard is refused for it."""
    assert read(raw).verdict is verdict


COPIED = "From: News <news@example.com>\nTo: Ada <ada@example.org>\nSubject: Hello\nDate: Mon, 1 Jun 2026 09:00:00 +0000\n"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (f"{COPIED}\n<ada@example.org>: 550 5.1.1 User unknown\n", HARD),
        (f"Your mail\n\n{COPIED}\nwas not delivered:\n  554 5.7.1 blocked using zen.spamhaus.org\n", BLOCK),
        (f"{COPIED}\ncould not be delivered to ada@example.org. Reason: 552 5.2.2 mailbox full\n", SOFT),
        (f"{COPIED}\nYour message to ada@example.org could not be delivered: no such user.\n", HARD),
        (f"<ada@example.org>: 552 5.2.2 mailbox full\n\n{COPIED}\nError: 550 no such user, says our own text\n", SOFT),
        (f"Not delivered.\n\n{COPIED}\nYour account does not exist any more, dear user.\n", SOFT),
    ],
)  # fmt: skip
def test_a_notice_that_opens_with_the_copied_header_keeps_its_reason(text, verdict):
    """What stands behind the header counts only if it is what a server answers, for it may be our own mail."""
    found = read(daemon(text))
    assert (found.verdict, found.sent_to) == (verdict, "ada@example.org")


NOTICE = (
    "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\nSubject: Delivery Status Notification (Failure)\n"
    "To: <kim@example.net>\n\nYour message wasn't delivered to ada@example.org.\nThe response was:\n{reason}\n"
)


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        ("550 5.1.1 The account does not exist", HARD),
        ("552 5.2.2 Mailbox full", SOFT),
        ("550 5.7.1 Spam", BLOCK),
    ],
)
@pytest.mark.parametrize("quote", ["", "> "])
def test_a_bounce_that_somebody_passes_on_is_read(reason, verdict, quote):
    """As the text of a mail, quoted or not: the notice counts, not who sends it."""
    notice = NOTICE.format(reason=reason).replace("\n", f"\n{quote}")
    text = f"FYI\n\nBegin forwarded message:\n\n{quote}{notice}"
    assert read(mail(text, "Fwd: Delivery Status Notification (Failure)")).verdict is verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Die eingegebene E-Mail-Adresse konnte nicht gefunden werden.", HARD),
        ("Das Postfach des Empfängers ist voll.", SOFT),
        ("L'adresse de messagerie que vous avez entrée est introuvable.", HARD),
        ("La boîte aux lettres du destinataire est pleine.", SOFT),
        ("La cuenta de correo no existe.", HARD),
        ("Destinatario desconocido o mailbox lleno", SOFT),
        ("O endereço de e-mail não foi encontrado.", HARD),
        ("Postvak van de ontvanger is vol", SOFT),
        ("Użytkownik nie istnieje", HARD),
        ("Uživatel neexistuje", HARD),
        ("Kullanıcı bulunamadı", HARD),
        ("Почтовый ящик переполнен", SOFT),
        ("Письмо отклонено: обнаружен спам", BLOCK),
        ("該当するユーザーが見つかりません", HARD),
        ("送信先のアドレスが見つからないか、サーバの事由により送信できません", SOFT),
        ("メールボックスの容量が超過しています", SOFT),
        ("迷惑メールと判定されました", BLOCK),
        ("收件人邮箱不存在", HARD),
        ("收件人邮箱已满", SOFT),
        ("존재하지 않는 사용자입니다", HARD),
    ],
)
def test_notices_in_other_languages_are_understood(text, verdict):
    """Where they come without a code, and explicit words only where an address is gone."""
    assert read(daemon(f"{text}\nada@example.org\n")).verdict is verdict


def test_the_sender_in_a_notice_is_not_whom_it_is_about():
    """Some name whoever sent the mail first, and whom to ask."""
    text = (
        "A message sent by news@example.com from <shop@example.com> could not be delivered.\n"
        "ada@example.org: 550 5.1.1 User unknown\nFor help contact admin@example.net\n"
    )
    assert read(daemon(text)).recipients == ("ada@example.org",)


def test_a_refused_sender_condemns_no_recipient():
    """Whatever the words are: who was refused at MAIL FROM or HELO was not the recipient."""
    for command in ("MAIL FROM", "EHLO"):
        said = f"<ada@example.org>: host mx.example.org said: 550 5.1.1 unknown user (in reply to {command} command)"
        assert read(report("550 5.1.1 unknown user", "5.1.1", said=said)).verdict is BLOCK
        assert read(daemon(said)).verdict is BLOCK
    said = said.replace("EHLO", "RCPT TO")
    assert read(report("550 5.1.1 unknown user", "5.1.1", said=said)).verdict is HARD


@pytest.mark.parametrize(
    "raw",
    [
        mail("You have 12 messages in quarantine.", "Spam quarantine summary", "postmaster@example.net"),
        mail("The server is restarted tonight.", "Maintenance", "System Administrator <root@example.net>"),
    ],
)
def test_what_a_machine_writes_about_other_things_is_kept(raw):
    """A sender that sounds like a mail system is not enough to call a mail undelivered."""
    assert read(raw).verdict is UNKNOWN


@pytest.mark.parametrize(
    ("shape", "reason", "verdict"),
    [
        (samples.QMAIL, "Sorry, no mailbox here by that name. (#5.1.1)", HARD),
        (samples.QMAIL, "Sorry, I couldn't find any host named example.org. (#5.1.2)", HARD),
        (samples.QMAIL, "Mailbox quota usage exceeded (#5.2.2)", SOFT),
        (samples.QMAIL, "Connected to 192.0.2.1 but greeting failed.\nRemote host said: 554 Your IP is blacklisted", BLOCK),
        (samples.EXIM, "RCPT TO:<ada@example.org>:\n    550 Unrouteable address", HARD),
        (samples.EXIM, "MAIL FROM:<news@example.com> SIZE=1022:\n    553 5.1.0 example.com does not exist", BLOCK),
        (samples.EXIM, "end of data:\n    554 5.7.0 Reject, id=1 - SPAM", BLOCK),
        (samples.EXCHANGE, "The recipient name is not recognized", HARD),
        (samples.EXCHANGE, "The e-mail account does not exist at the organization this message was sent to.", HARD),
        (samples.DOMINO, "User ada (ada@example.org) not listed in Domino Directory", HARD),
        (samples.DOMINO, "Router: Mail file is over its size limit", SOFT),
        (samples.GMAIL, "550 550 5.1.1 The email account that you tried to reach does not exist.", HARD),
        (samples.GMAIL, "554 554 5.7.1 Service unavailable; Client host [192.0.2.49] blocked", BLOCK),
        (samples.YAHOO, "550 5.1.1 <ada@example.org>... User Unknown", HARD),
        (samples.YAHOO, "552 1 Requested mail action aborted, mailbox not found", HARD),
    ],
)  # fmt: skip
def test_a_bounce_in_plain_words_is_understood(shape, reason, verdict):
    """As qmail, Exim, Exchange, Domino, Gmail and Yahoo write; what was returned does not count."""
    found = read(daemon(shape.format(reason=reason)))
    assert found.verdict is verdict
    assert found.recipient == "ada@example.org"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("送信先のメールボックスが一杯のため、送信できませんでした。", SOFT),
        ("Die Adresse ada@example.org existiert nicht.", HARD),
        ("ada@example.org: El buzón no existe", HARD),
        ("Пользователь ada@example.org не существует", HARD),
        ("<ada@example.org>: utilisateur inconnu", HARD),
        ("收件人地址不存在", HARD),
        ("Nachricht wegen unserer Richtlinie abgelehnt", BLOCK),
        ("Something happened that nobody described.", SOFT),
    ],
)
def test_other_languages_and_silence(text, verdict):
    """The address is only condemned by words or codes that say so."""
    assert read(daemon(text)).verdict is verdict


@pytest.mark.parametrize(
    ("raw", "verdict", "delayed"),
    [
        (report("451 4.4.1 timed out", "4.4.1", "delayed"), SOFT, True),
        (report("450 4.1.1 User unknown", "4.1.1", "delayed"), SOFT, True),
        (daemon("THIS IS A WARNING MESSAGE ONLY.\nDelivery has been delayed.", "Warning"), SOFT, True),
        (report("250 2.1.5 Ok", "2.1.5", "delivered"), DELIVERED, False),
    ],
)
def test_not_every_report_is_a_failure(raw, verdict, delayed):
    """While somebody keeps trying nothing is over; and some report success."""
    found = read(raw)
    assert (found.verdict, found.delayed) == (verdict, delayed)


@pytest.mark.parametrize(
    ("raw", "verdict"),
    [
        (feedback(), COMPLAINT),
        (feedback("fraud"), COMPLAINT),
        (feedback("not-spam"), UNKNOWN),
        (feedback("auth-failure"), UNKNOWN),
        (mail("see below", "complaint about message from 192.0.2.1", "staff@hotmail.com"), COMPLAINT),
        (mail("see below", "Email Feedback Report for IP 192.0.2.1", "scomp@aol.net"), COMPLAINT),
    ],
)
def test_a_complaint_is_somebody_pressing_the_button(raw, verdict):
    """Taking one back, or a report about a forgery, is none."""
    assert read(raw).verdict is verdict


def test_a_feedback_report_without_its_type_is_one():
    """Some write the fields into the text."""
    text = "Feedback-Type: abuse\nUser-Agent: SomeGenerator/1.0\nVersion: 1\nOriginal-Rcpt-To: <ada@example.org>\n"
    assert read(mail(text, "FW: Hello", "fbl@isp.example")).verdict is COMPLAINT
    assert read(mail("Feedback-Type: what is that?", "Re: Hello")).verdict is UNKNOWN


def test_who_complained_at_microsoft_stands_in_the_returned_mail():
    """Their programme leaves out the standard fields."""
    raw = feedback().replace(b"Original-Rcpt-To: <ada@example.org>\r\n", b"")
    raw = raw.replace(b"Return-Path:", b"X-HmXmrOriginalRecipient: <eve@hotmail.example>\r\nReturn-Path:")
    found = read(raw)
    assert (found.verdict, found.recipient) == (COMPLAINT, "eve@hotmail.example")


@pytest.mark.parametrize(
    "raw",
    [
        feedback("opt-out"),
        feedback("opt-out-list"),
        mail(
            "Apple Mail sent this", "unsubscribe", auto_submitted="auto-replied", x_apple_unsubscribe="true"
        ),
    ],
)
def test_a_wish_to_hear_no_more_is_no_complaint(raw):
    """The person opts out; nobody called it spam."""
    assert read(raw).verdict is BounceVerdict.UNSUBSCRIBE


@pytest.mark.parametrize(
    "raw",
    [
        mail("I am away.", auto_submitted="auto-replied"),
        mail("I am currently out of the office until Monday.", "Re: Hello", precedence="bulk"),
        mail("Ich bin derzeit nicht im Büro.", "Re: Hello", return_path="<>"),
        mail(
            "We have got your question.",
            "Re: Hello",
            auto_submitted="auto-generated",
            in_reply_to="<1@example.com>",
        ),
        mail("Je suis actuellement absente.", "RE: Hello", x_auto_response_suppress="All"),
        mail("hasta pronto", "Automatická odpověď: Hello"),
        mail("I am away.", x_autoreply="yes"),
        mail("I am away.", precedence="auto_reply"),
        mail("Back on Monday. Delivery failed last time.", "Automatic reply: Hello"),
        mail("bis Montag", "Abwesenheitsnotiz: Hello"),
        mail("休みます", "自動返信: Hello"),
        mail("until Monday", "AUTO: Ada is out of the office (returning Monday)"),
        mail("Click the link below to be added to my guest list: https://www.boxbe.com/crs?tc=1"),
        mail("Please click the following link to verify that you are a real person"),
    ],
)
def test_machines_that_answer_for_a_person(raw):
    """RFC 3834 fields, what came before them, subjects in many languages, and proof-of-sender challenges."""
    assert read(raw).verdict is AUTO_REPLY


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff" * 50,
        mail("Thanks, that was useful! Best, Ada"),
        mail("The user is unknown to me. Is the mailbox full?", "Re: Hello"),
        mail("I am out of the office until Monday, but here is my answer.", "Re: Hello"),
        mail("Report domain: example.com", "Report Domain: example.com Submitter: isp.example"),
    ],
)
def test_what_is_no_return_is_not_guessed(raw):
    """A person who writes about mailboxes is a person."""
    assert read(raw).verdict is UNKNOWN


def test_which_mail_it_was():
    """The signed tag, the Message-ID and the recipient of the returned headers, whatever form they come in."""
    for returned in ("text/rfc822-headers", "message/rfc822"):
        found = read(report("550 user unknown", returned=returned))
        assert found.tags == (TAG,)
        assert [one.hex() for one in found.message_ids] == ["0197a0b0c0d0e0f00102030405060708"]
        assert found.sent_to == "ada@example.org"
    text = samples.QMAIL.format(reason="user unknown") + samples.ORIGINAL.format(tag=TAG)
    assert read(daemon(text)).tags == (TAG,)


def test_a_detail_names_nobody():
    """The receiver's words are kept, bounded, without the addresses in them."""
    found = read(report("550 5.1.1 <ada@example.org> unknown, write to help@example.org " + "x" * 1000))
    assert found.detail.startswith("550 5.1.1 <address> unknown, write to <address>")
    assert len(found.detail) <= 300


def test_amazon_writes_json():
    """What SNS mails: as it is, or in its envelope, with a footer below."""
    bounce: dict[str, Any] = {
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": "Permanent",
            "bouncedRecipients": [
                {
                    "emailAddress": "ada@example.org",
                    "status": "5.1.1",
                    "diagnosticCode": "smtp; 550 5.1.1 user unknown",
                }
            ],
        },
    }
    plain = json.dumps(bounce)
    for text in (plain, json.dumps({"Type": "Notification", "Message": plain})):
        found = read(mail(text + "\n--\nTo unsubscribe", "AWS Notification", "no-reply@sns.amazonaws.com"))
        assert (found.verdict, found.status, found.recipient) == (HARD, "5.1.1", "ada@example.org")
    del bounce["bounce"]["bouncedRecipients"]
    assert read(mail(json.dumps(bounce))).verdict is HARD
    assert read(mail('{"notificationType":"Complaint","complaint":{}}')).verdict is COMPLAINT
    assert read(mail('{"notificationType": 7}')).verdict is UNKNOWN


@pytest.mark.parametrize("break_", ["\r\n", "\n", "\r"])
def test_line_ends_do_not_matter(break_):
    """Unix, DOS or old Macintosh, with or without a mailbox separator."""
    raw = report("550 5.1.1 user unknown", "5.1.1").replace(b"\r\n", break_.encode())
    assert read(raw).verdict is HARD
    assert read(b"From MAILER-DAEMON Thu Apr 29 16:51:04 2004" + break_.encode() + raw).verdict is HARD


def test_a_broken_boundary_is_survived():
    """The parts run together; the fields among them still count."""
    raw = report("550 5.1.1 user unknown", "5.1.1").replace(b'boundary="=b"', b'boundary="=c"')
    assert read(raw).verdict is HARD


NASTY = {
    "long line": b"From: mailer-daemon@x\n\n" + b"a" * 900_000,
    "angle brackets": b"From: mailer-daemon@x\nContent-Type: text/html\n\n" + b"<" * 900_000,
    "open styles": b"From: mailer-daemon@x\nContent-Type: text/html\n\n" + b"<style" * 150_000,
    "many fields": b"Final-Recipient: x\nAction: failed\n" * 20_000,
    "notice lines": b"From: mailer-daemon@x\n\n" + b"final-recipient: x\n" * 40_000,
    "deep": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(5_000)
    ),
    "attached mails": b"Content-Type: message/rfc822\n\n" * 20_000,
    "words": b"From: mailer-daemon@x\n\n" + b"user user user mailbox account " * 30_000,
    "spaces": b"From: mailer-daemon@x\n\n" + b" \t" * 400_000,
    "dashes": b"From: mailer-daemon@x\n\n" + b"-" * 900_000,
    "ats": b"From: mailer-daemon@x\n\n" + b"@" * 900_000,
    "headers": b"X-A: b\n" * 100_000 + b"\n",
    "encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 50_000 + b"\n\n",
    "parameters": b"Content-Type: multipart/report; " + b";a=b" * 200_000 + b"\n\n",
    "folded parameters": b"Content-Type: multipart/report;" + b"\n a=b;" * 100_000 + b"\n\n",
    "numbered parameters": b"Content-Type: a/b; "
    + b"".join(b"a*%d*=%%20;" % n for n in range(60_000))
    + b"\n\n",
    "parameters of a part": b"Content-Type: multipart/mixed; boundary=b\n\n--b\ncontent-type : a/b"
    + b";a=b" * 200_000,
    "ten megabytes": b"From: mailer-daemon@x\n\n" + b"user unknown " * 800_000,
    "one word": b"From: mailer-daemon@x\nSubject: failed\n\n" + b"user a b c d e f " * 60_000,
    "json": b"\n\n" + b'{"Message":' * 50_000,
}


@pytest.mark.parametrize("name", NASTY)
def test_hostile_mail_costs_little(name):
    """Whatever is repeated, nested or left open: a verdict, and soon."""
    started = time.process_time()
    assert read(NASTY[name]).verdict in set(BounceVerdict)
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize("charset", ["punycode", "PunyCode", "idna", "unicode_escape"])
def test_a_charset_that_no_mail_is_written_in_is_not_read(charset):
    """Python knows some that take minutes for a mail of this size."""
    raw = f"Content-Type: text/plain; charset={charset}\r\nFrom: MAILER-DAEMON@x.example\r\nSubject: Undeliverable"
    started = time.process_time()
    read(raw.encode() + b"\r\n\r\n550 5.1.1 user unknown\r\n" + b"a" * 300_000 + b"-" + b"b" * 300_000)
    assert time.process_time() - started < 3
