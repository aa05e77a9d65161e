// Requests, and what went wrong with them as a person reads it.

/** An answer that is no success: the server's own words, and the id under which its log has it. */
export class Refusal extends Error {
  constructor(status, code, msg, id, retrySecs) {
    super(msg);
    Object.assign(this, { status, code, id, retrySecs });
  }
}

/** What helps, where the server's sentence does not say it. */
const HINTS = {
  "unknown-alias": "Names are case-sensitive, and end as the address does: .jpg, .png, .webp.",
  "wrong-delete-token": "The token is the ten letters and digits that came with this very name when it was uploaded.",
  "not-an-image": "Is it a picture, and is it whole?",
  "damaged-image": "A picture program may be able to open it and save it anew.",
  "download-refused": "Addresses in private networks are off unless the server is told otherwise.",
  "invalid-api-key": "It is what the server was started with, by api-key or api-key-file.",
  "file-too-large": "A smaller size or a format such as WebP or AVIF may fit.",
};

export const hint = (refusal) => HINTS[refusal.code] ?? "";

/** The error that an answer is, from its JSON. */
export function refusal(status, body, id, retry) {
  let json = {};
  try {
    json = JSON.parse(body);
  } catch {
    // Something between here and the server answered in its own words.
  }
  const msg = json.msg ?? `the answer was ${status}, and it is not glimt’s`;
  return new Refusal(status, json.code ?? "", msg, id ?? "", Number(retry) || 0);
}

/** What is told when there was no answer. */
export const unreachable = () => new Refusal(0, "no-answer", "no answer came: the server cannot be reached, or it closed the connection", "", 0);

/** The answer to a request, which is a success. */
export async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (!response.ok) {
    const { headers } = response;
    throw refusal(response.status, await response.text(), headers.get("x-request-id"), headers.get("retry-after"));
  }
  return response;
}

/** Where a picture is. */
export const original = (file) => `/image/original/${encodeURIComponent(file)}`;

const known = new Map();

/** What is stored under a name, asked once: its bytes and what they are; `null` where that cannot be told. */
export async function stored(file) {
  if (!known.has(file)) {
    try {
      const { headers } = await ask(original(file), { method: "HEAD" });
      const type = (headers.get("content-type") ?? "").replace("image/", "").toUpperCase();
      known.set(file, { bytes: Number(headers.get("content-length")) || 0, type });
    } catch {
      return null;
    }
  }
  return known.get(file);
}

/** A small one of it. */
export const thumbnail = (file, side) => `/image/process.webp?src=${encodeURIComponent(file)}&thumbnail=${side}`;

/** Deletes a picture's name. */
export const remove = (file, token) =>
  ask(`/image/delete/${encodeURIComponent(token)}/${encodeURIComponent(file)}`, { method: "DELETE" });
