// How the page asks its server: one place for failures, one banner to show them.
const trouble = document.getElementById("trouble");

export class Refused extends Error {
  constructor(response, text) {
    super(text);
    this.status = response.status;
  }
}

/** Resolves to the Response; rejects when the server is away or refuses for good. 4xx of a form is an answer. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, redirect: "error" });
  } catch {
    say("Clarion does not answer. Check that it is running. The page reconnects by itself.");
    throw new Refused({ status: 0 }, "unreachable");
  }
  if (response.status === 403 || response.status >= 500) {
    const text = await response.text();
    say(text);
    throw new Refused(response, text);
  }
  say("");
  return response;
}

function say(text) {
  const back = !text && !trouble.hidden;
  if (trouble.textContent !== text) trouble.textContent = text;
  trouble.hidden = !text;
  if (back) window.dispatchEvent(new Event("back"));
}
