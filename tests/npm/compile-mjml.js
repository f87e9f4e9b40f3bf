// Compiles MJML with `mjml`: one JSON string a line in, one line of JSON (the HTML) out.
const mjml = require('mjml')
const lines = require('readline').createInterface({ input: process.stdin })

;(async () => {
  for await (const line of lines) {
    const made = await mjml(JSON.parse(line), { fonts: {}, validationLevel: 'strict' })
    console.log(JSON.stringify(made.html))
  }
})()
