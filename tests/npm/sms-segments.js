// Counts segments with `sms-segments-calculator`: one JSON string a line in, one line of JSON out.
const { SegmentedMessage } = require('sms-segments-calculator')
const lines = require('readline').createInterface({ input: process.stdin })

lines.on('line', line => {
  const message = new SegmentedMessage(JSON.parse(line))
  console.log(JSON.stringify([message.encodingName, message.segmentsCount]))
})
