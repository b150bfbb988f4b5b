// Whom the Call button calls: the demo agent on the server's own machine, or an agent of whoever signed in.

import { Account, Refusal, ask } from "./account.js";

const DEMO = {
  name: "Demo agent",
  session: (callId) => ask("POST", "/talk/session", { body: callId ? { call_id: callId } : undefined }),
};

export class Chooser {
  #demo = false;
  #account = null;
  #on;
  #page;

  /** `on`: {line(line or null), refused(error), cleared}: a line is {name, session(callId)}. */
  constructor(page, on) {
    this.#page = page;
    this.#on = on;
    page["sign-in"].addEventListener("submit", (event) => {
      event.preventDefault();
      this.#try(() => this.#signIn());
    });
    page["sign-out"].addEventListener("click", () => this.#signOut());
    page.company.addEventListener("change", () => this.#try(() => this.#showAgents()));
    page.agents.addEventListener("change", () => this.#choose());
    window.addEventListener("pagehide", () => this.#account?.signOut());
    window.addEventListener("pageshow", ({ persisted }) => persisted && this.#account && this.#forget());
  }

  /** What can be called without an account. */
  open() {
    return this.#try(async () => {
      this.#demo = (await ask("GET", "/talk/welcome")).demo;
      this.#page.account.open = !this.#demo;
      this.#on.line(this.#demo ? DEMO : null);
    });
  }

  /** Nobody else is chosen while a call goes on. */
  lock(locked) {
    for (const name of ["company", "agents", "sign-out"]) this.#page[name].disabled = locked;
    this.#page.account.hidden = locked || this.#account !== null;
  }

  async #signIn() {
    const { email, password } = this.#page;
    this.#page["sign-in-button"].disabled = true;
    try {
      this.#account = await Account.signIn(email.value, password.value);
    } finally {
      this.#page["sign-in-button"].disabled = false;
      password.value = "";
    }
    this.#page["who-email"].textContent = this.#account.email;
    this.#showAccount(true);
    const companies = await this.#account.companies();
    fill(this.#page.company, companies);
    this.#page["company-field"].hidden = companies.length < 2;
    await this.#showAgents();
  }

  async #showAgents() {
    const company = this.#page.company.value;
    this.#on.line(null);
    const agents = await this.#account.agents(company);
    if (company !== this.#page.company.value) return; // another was chosen meanwhile
    fill(this.#page.agents, agents);
    this.#choose();
    if (!agents.length) throw new Refusal("No agent of yours takes calls: publish one, then sign in again.");
  }

  #choose() {
    const [account, company, agent] = [this.#account, this.#page.company.value, this.#page.agents.value];
    const name = this.#page.agents.selectedOptions[0]?.textContent;
    this.#on.line(agent ? { name, session: (callId) => account.call(company, agent, callId) } : null);
  }

  #signOut() {
    this.#account.signOut();
    this.#forget();
  }

  #forget() {
    this.#account = null;
    this.#showAccount(false);
    this.#on.cleared();
    this.#on.line(this.#demo ? DEMO : null);
  }

  #showAccount(signedIn) {
    this.#page.who.hidden = !signedIn;
    this.#page.choice.hidden = !signedIn;
    this.#page.account.hidden = signedIn;
    fill(this.#page.company, []);
    fill(this.#page.agents, []);
  }

  async #try(action) {
    this.#on.cleared();
    try {
      await action();
    } catch (error) {
      this.#on.refused(error);
    }
  }
}

function fill(select, items) {
  select.replaceChildren(...items.map(({ id, name }) => new Option(name, id)));
}
