// What npm's web-push thinks of our keys, and keys of its own: {"send": subscription, "keys": {...}} or {"keys": null} on stdin.
const {createRequire} = require('node:module');
const load = createRequire(`${process.argv[2]}/web-push/package.json`);
const webpush = load('./src/index.js');
const asked = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
if (!asked.send) {
  process.stdout.write(JSON.stringify(webpush.generateVAPIDKeys()));
} else {
  webpush.setVapidDetails('mailto:ops@example.com', asked.keys.publicKey, asked.keys.privateKey);
  const details = webpush.generateRequestDetails(asked.send, asked.text, {contentEncoding: 'aes128gcm'});
  process.stdout.write(JSON.stringify({headers: details.headers, body: details.body.toString('base64')}));
}
