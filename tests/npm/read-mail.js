// Reads mails with `mailparser`: one base64 line each in, one line of JSON each out.
const { simpleParser } = require('mailparser')
const lines = require('readline').createInterface({ input: process.stdin })

;(async () => {
  for await (const line of lines) {
    const mail = await simpleParser(Buffer.from(line, 'base64'), { skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true, keepCidLinks: true })
    console.log(JSON.stringify({
      subject: mail.subject ?? '',
      from: mail.from.value[0],
      to: mail.to.value[0],
      messageId: mail.messageId,
      text: mail.text ?? '',
      html: mail.html || '',
      date: mail.date.toISOString(),
      attachments: mail.attachments.map(a => ({
        name: a.filename ?? '', type: a.contentType, id: a.cid ?? '', related: Boolean(a.related),
        content: a.content.toString('base64')
      }))
    }))
  }
})()
