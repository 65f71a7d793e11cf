// Passkeys and security keys: asks the broker what to sign, lets the browser ask the person, and brings back what was signed.
//
// A form says what for: data-webauthn="create|get", data-options, data-finish. The broker answers the first path with
// {publicKey, mediation?} and the second with {next}, or either with {error, tries_left?}.

const WORDS = {
  unsupported: "This browser cannot use passkeys or security keys. Use another one, or another factor of yours.",
  insecure: "Passkeys and security keys work only at the broker's own https address.",
  follow: "Follow what your browser asks.",
  checking: "One moment.",
  cancelled: "Nothing was signed: it was cancelled, it took too long, or no key of yours was found. You can try again.",
  present: "This key or device is set up already. Use another one.",
  foreign: "The browser refuses this address for passkeys. Open the portal by the name that your administrator gave you.",
  noPin: "This key has no PIN or fingerprint set up, and that is asked for here. Set one up, or use another key.",
  failed: "The browser or the key could not do it. Try again, or use another factor of yours.",
  signedOut: "You are signed out by now. Open this page again.",
  unreachable: "The broker did not answer. Check the connection, and try again.",
  tries: (left) => (left === 1 ? "One try left." : `${left} tries left.`),
};

/** What the broker refused, in its own words. */
class Refusal extends Error {
  constructor(answer) {
    super(typeof answer.error === "string" ? answer.error : WORDS.failed);
    this.triesLeft = answer.tries_left;
  }
}

function bytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (char) => char.charCodeAt(0));
}

function text(buffer) {
  const plain = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const withBytes = (list) => list?.map((each) => ({ ...each, id: bytes(each.id) }));

// The browser's own reading where it has one; older ones get it read by hand.
function creationOptions(json) {
  if (PublicKeyCredential.parseCreationOptionsFromJSON) return PublicKeyCredential.parseCreationOptionsFromJSON(json);
  return {
    ...json,
    challenge: bytes(json.challenge),
    user: { ...json.user, id: bytes(json.user.id) },
    excludeCredentials: withBytes(json.excludeCredentials),
  };
}

function requestOptions(json) {
  if (PublicKeyCredential.parseRequestOptionsFromJSON) return PublicKeyCredential.parseRequestOptionsFromJSON(json);
  return { ...json, challenge: bytes(json.challenge), allowCredentials: withBytes(json.allowCredentials) };
}

function credentialJson(credential) {
  if (credential.toJSON) return credential.toJSON();
  const from = credential.response;
  const response = { clientDataJSON: text(from.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (from[name]) response[name] = text(from[name]);
  }
  if (from.getTransports) response.transports = from.getTransports();
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment,
    clientExtensionResults: credential.getClientExtensionResults(),
    response,
  };
}

function inWords(error) {
  if (error instanceof Refusal) return error.message;
  switch (error?.name) {
    case "NotAllowedError":
    case "AbortError": return WORDS.cancelled;
    case "InvalidStateError": return WORDS.present;
    case "SecurityError": return WORDS.foreign;
    case "ConstraintError": return WORDS.noPin;
    case "NotSupportedError": return WORDS.unsupported;
    case "NetworkError": return WORDS.unreachable;
    default: return WORDS.failed;
  }
}

async function post(path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-csrf": document.querySelector('meta[name="csrf"]').content },
      body: JSON.stringify(body),
      credentials: "same-origin",
      redirect: "error",
    });
  } catch {
    throw new DOMException("no answer", "NetworkError");
  }
  let json;
  try {
    json = await answer.json();
  } catch {
    json = {};
  }
  if (answer.status === 401) throw new Refusal({ error: WORDS.signedOut });
  if (!answer.ok) throw new Refusal(json);
  return json;
}

async function ceremony(form, fields, say) {
  const options = await post(form.dataset.options, fields);
  say(WORDS.follow);
  // The person has pressed a button: whatever the browser has, it shows.
  const credential = form.dataset.webauthn === "create"
    ? await navigator.credentials.create({ publicKey: creationOptions(options.publicKey) })
    : await navigator.credentials.get({ publicKey: requestOptions(options.publicKey) });
  say(WORDS.checking);
  const { next } = await post(form.dataset.finish, { credential: credentialJson(credential), fields });
  const there = new URL(next, window.location.origin);
  if (there.origin !== window.location.origin) throw new Refusal({});
  return there;
}

function show(place, words) {
  place.textContent = words;
  place.hidden = words === "";
}

function prepare(form) {
  const button = form.querySelector("button:not([type=button])");
  const problem = form.querySelector("[data-problem]");
  const status = form.querySelector("[data-status]");
  const tries = form.querySelector("[data-tries]");
  if (!window.isSecureContext) return show(problem, WORDS.insecure);
  if (!window.PublicKeyCredential) return show(problem, WORDS.unsupported);
  button.disabled = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.hasAttribute("aria-busy")) return;
    form.setAttribute("aria-busy", "true");
    button.disabled = true;
    show(problem, "");
    try {
      const fields = Object.fromEntries(new FormData(form));
      window.location.assign(await ceremony(form, fields, (words) => show(status, words)));
    } catch (error) {
      if (error.triesLeft === 0) return window.location.reload();
      if (tries && Number.isInteger(error.triesLeft)) tries.textContent = WORDS.tries(error.triesLeft);
      show(status, "");
      show(problem, inWords(error));
      button.disabled = false;
      (form.querySelector("[autofocus]") ?? button).focus();
      form.removeAttribute("aria-busy");
    }
  });
}

document.querySelectorAll("form[data-webauthn]").forEach(prepare);
