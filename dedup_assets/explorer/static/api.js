// Asking the server, and telling it what to change.

let token = document.querySelector("meta[name=dedup-token]").content;
export const store = document.querySelector("meta[name=dedup-store]").content;

export class Refused extends Error {}
// By now the server shows another store than this page does: what was to be written waits for its own.
export class OtherStore extends Refused {}

export async function get(path, parameters, options = {}) {
  const query = parameters ? `?${parameters}` : "";
  return answer(await fetch(`${path}${query}`, { headers: { accept: "application/json" }, ...options }));
}

// A write waits for its answer; one refused because the server was started anew is sent once more with a new token.
export async function post(path, body, again = true) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-dedup-token": token, "x-dedup-store": store },
    body: JSON.stringify(body),
  });
  if (response.status === 403 && again) {
    token = (await get("/api/token")).token;
    return post(path, body, false);
  }
  return answer(response);
}

async function answer(response) {
  const said = await response.json().catch(() => ({}));
  if (!response.ok) throw new (response.status === 412 ? OtherStore : Refused)(said.error ?? `the server answered ${response.status}`);
  return said;
}
