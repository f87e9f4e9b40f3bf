// The push service of npm's web-push-testing, on loopback only (by itself it listens everywhere).
const {createRequire} = require('node:module');
const [, , modules, port] = process.argv;
const load = createRequire(`${modules}/web-push-testing/package.json`);
const application = load('express').application;
const listen = application.listen;
application.listen = function (port, ready) {
  return listen.call(this, port, '127.0.0.1', ready);
};
const Model = load('./src/PushApiModel.js');
const Server = load('./src/server.js');
new Server(new (Model.PushApiModel || Model)(), Number(port)).startServer();
