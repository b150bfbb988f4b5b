// Whoever signed in: their tokens, which live in this page alone, and what they may call.

const API = "/api/v1";
const DEADLINE_MS = 8000;
const PAGE = 200;

/** A refusal that is meant for whoever uses the page. */
export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The answer's JSON, or null for an empty one. Throws Refusal with what the server says. */
export async function ask(method, path, { token, body } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: { ...(token && { Authorization: `Bearer ${token}` }), ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
  } catch {
    throw new Refusal("The server cannot be reached. Is `parley serve` running?", 0);
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  const { detail, title } = await response.json().catch(() => ({}));
  throw new Refusal(detail ?? title ?? `status ${response.status}`, response.status);
}

export class Account {
  #session;
  #renewal = null;

  static async signIn(email, password) {
    const { user, session } = await ask("POST", `${API}/auth/login`, { body: { email, password } });
    return new Account(user, session);
  }

  constructor(user, session) {
    this.email = user.email;
    this.#session = session;
  }

  companies() {
    return this.#all("/companies");
  }

  /** Those that take calls, by name. */
  async agents(companyId) {
    const agents = await this.#all(`/companies/${companyId}/agents`);
    return agents
      .filter((agent) => agent.published_version !== null)
      .map((agent) => ({ id: agent.id, name: agent.config.name }))
      .sort((one, other) => one.name.localeCompare(other.name));
  }

  /** A media URL of this page's own server, for a new call or, with `callId`, for one that lost its socket. */
  async call(companyId, agentId, callId) {
    const body = callId ? { call_id: callId } : undefined;
    const { url, call_id } = await this.#ask("POST", `/companies/${companyId}/agents/${agentId}/test-call`, body);
    return { url: new URL(url).pathname, call_id };
  }

  /** Ends the session on the server too; also while the page is left. */
  signOut() {
    fetch(`${API}/auth/logout`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refresh_token: this.#session.refresh_token }),
      keepalive: true,
    }).catch(() => {}); // the page forgets the tokens in any case, and they expire
  }

  async #all(path) {
    const found = [];
    for (let next = ""; next !== null; ) {
      const listing = await this.#ask("GET", `${path}?limit=${PAGE}${next && `&cursor=${next}`}`);
      found.push(...listing.items);
      next = listing.next;
    }
    return found;
  }

  async #ask(method, path, body) {
    try {
      return await ask(method, API + path, { token: this.#session.access_token, body });
    } catch (error) {
      if (error.status !== 401) throw error;
    }
    await this.#renew();
    return ask(method, API + path, { token: this.#session.access_token, body });
  }

  // A refresh token is good once: requests that find the access token expired share one renewal.
  #renew() {
    const body = { refresh_token: this.#session.refresh_token };
    this.#renewal ??= ask("POST", `${API}/auth/refresh`, { body })
      .then((session) => { this.#session = session; })
      .finally(() => { this.#renewal = null; });
    return this.#renewal;
  }
}
