/**
 * Loaded into firebase-tools before anything else. Its Authentication emulator keeps accounts in memory. This makes it post to
 * ACCOUNTS_CHANGED_URL before it answers a request that may have changed one, so nothing it acknowledged is lost in a crash.
 */
const { createServer } = require("node:http");

const url = process.env.ACCOUNTS_CHANGED_URL;
if (url) {
  const server = require("firebase-tools/lib/emulator/auth/server");
  const { createApp } = server;
  server.createApp = async (...args) => {
    const app = await createApp(...args);
    app.listen = (...address) => {
      const serve = (request, response) => {
        if (!["GET", "HEAD", "OPTIONS"].includes(request.method)) answerOnceSaved(response);
        app(request, response);
      };
      return createServer(serve).listen(...address);
    };
    return app;
  };
}

/** Without the answer, the client knows that the change may be lost. */
function answerOnceSaved(response) {
  const { end } = response;
  response.end = (...rest) => {
    fetch(url, { method: "POST" }).then(
      ({ ok }) => (ok ? end.apply(response, rest) : response.destroy()),
      () => response.destroy(),
    );
    return response;
  };
}
