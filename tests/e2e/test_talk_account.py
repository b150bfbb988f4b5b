"""The talk page with an account: who signs in calls agents of their company, from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.fake_media import FakeMedia
from tests.unit.api_client import PASSWORD

NUMBERS = count()


@dataclass
class Company:
    """A company of its own for each test. `bearer` is its owner's."""

    id: str
    email: str
    bearer: str
    client: httpx.Client

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.bearer}"}
        response = self.client.post(f"/companies/{self.id}{path}", headers=headers, json=body)
        assert response.is_success, response.text
        return response.json()

    def agent(self, name: str, *, published: bool = True) -> str:
        agent_id: str = self.post("/agents", {"name": name})["id"]
        if published:
            self.post(f"/agents/{agent_id}/publish")
        return agent_id


@pytest.fixture
def company(fake: FakeMedia, talk_url: str) -> Company:
    client = httpx.Client(base_url=talk_url.removesuffix("/talk") + "/api/v1")
    email = f"ann{next(NUMBERS)}@example.com"
    body = {"company": "Acme", "name": "Ann", "email": email, "password": PASSWORD}
    made = client.post("/auth/register", json=body).json()
    return Company(made["user"]["company_id"], email, made["session"]["access_token"], client)


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    if not page.get_by_label("E-mail").is_visible():
        page.get_by_text("Sign in to call your own agents").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def start_call(page: Page) -> None:
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_role("button", name="Hang up")).to_be_visible()


def test_from_elsewhere_nobody_is_called_without_an_account(remote: Page, fake: FakeMedia) -> None:
    expect(remote.get_by_text("Nobody to call yet")).to_be_visible()
    expect(remote.get_by_label("E-mail")).to_be_visible()
    expect(remote.get_by_role("button", name="Call", exact=True)).to_be_disabled()


def test_an_agent_of_ones_own_is_called(remote: Page, company: Company, fake: FakeMedia) -> None:
    company.agent("Billing")
    company.agent("A draft", published=False)
    desk = company.agent("Front desk")
    sign_in(remote, company.email)
    chosen = remote.get_by_label("Agent", exact=True)
    expect(chosen.locator("option")).to_have_text(["Billing", "Front desk"])
    expect(remote.get_by_text(company.email)).to_be_visible()
    chosen.select_option("Front desk")
    start_call(remote)
    expect(chosen).to_be_disabled()
    claims = fake.wait(lambda call: call.samples > 0).claims
    assert (claims.company_id, claims.agent_id, claims.events) == (company.id, desk, True)
    remote.get_by_role("button", name="Hang up").click()
    expect(chosen).to_be_enabled()


def test_a_lost_connection_is_resumed(remote: Page, company: Company, fake: FakeMedia) -> None:
    company.agent("Front desk")
    sign_in(remote, company.email)
    start_call(remote)
    first = fake.wait(lambda call: call.samples > 0)
    remote.keyboard.press("8")
    second = fake.wait(lambda call: call is not first and call.samples > 0)
    assert second.claims.call_id == first.claims.call_id
    assert second.claims.token_id != first.claims.token_id


def test_a_wrong_password_is_said(remote: Page, company: Company, fake: FakeMedia) -> None:
    sign_in(remote, company.email, "a wrong password")
    expect(remote.get_by_role("alert")).to_contain_text("password")
    expect(remote.get_by_label("Password")).to_be_empty()
    company.agent("Front desk")
    sign_in(remote, company.email)
    expect(remote.get_by_role("alert")).to_be_hidden()
    start_call(remote)


def test_an_account_without_agents_is_told_what_is_missing(
    remote: Page, company: Company, fake: FakeMedia
) -> None:
    company.agent("A draft", published=False)
    sign_in(remote, company.email)
    expect(remote.get_by_role("alert")).to_contain_text("publish one")
    expect(remote.get_by_role("button", name="Call", exact=True)).to_be_disabled()


def test_signing_out_leads_back_to_the_demo(page: Page, company: Company, fake: FakeMedia) -> None:
    expect(page.get_by_text("Demo agent")).to_be_visible()
    company.agent("Front desk")
    sign_in(page, company.email)
    expect(page.locator("#agent")).to_have_text("Front desk")
    with page.expect_response("**/auth/logout") as signed_out:
        page.get_by_role("button", name="Sign out").click()
    assert signed_out.value.status == 204
    expect(page.locator("#agent")).to_have_text("Demo agent")
    start_call(page)
    assert fake.wait(lambda call: call.samples > 0).claims.company_id == "demo"


def test_an_expired_session_is_renewed(remote: Page, company: Company, fake: FakeMedia) -> None:
    """The next two calls find the access token expired: one renewal serves each."""
    company.agent("Front desk")
    sign_in(remote, company.email)
    expect(remote.locator("#agent")).to_have_text("Front desk")
    remote.route("**/test-call", lambda route: route.fulfill(status=401, json={"detail": "expired"}), times=1)
    with remote.expect_response("**/auth/refresh") as renewed:
        start_call(remote)
    assert renewed.value.status == 200
    fake.wait(lambda call: call.samples > 0)


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_overflows(remote: Page, company: Company, fake: FakeMedia, width: int) -> None:
    remote.set_viewport_size({"width": width, "height": 800})
    assert remote.evaluate("document.documentElement.scrollWidth") <= width
    company.agent("An agent with a name that is longer than any telephone is wide " * 2)
    sign_in(remote, company.email)
    expect(remote.get_by_label("Agent", exact=True)).to_be_visible()
    assert remote.evaluate("document.documentElement.scrollWidth") <= width
