"""Who gets in, and from where."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from tests.web import staged
from tests.web.conftest import TestClient, program, stranger
from tests.web.staged import TOKEN, Site
from yololstm.web import Allowance
from yololstm.web.guarding import COOKIE

ASKED = {"X-Requested-With": "test"}
FEEDBACK = {"verdict": "right"}


def operations(site: Site) -> list[tuple[str, str]]:
    filled = {"{name}": "door", "{id}": staged.name(1)}
    found = []
    for path, methods in site.app.openapi()["paths"].items():
        for hole, value in filled.items():
            path = path.replace(hole, value)
        found += [(method.upper(), path) for method in methods]
    return found


def logged_in(site: Site) -> TestClient:
    client = stranger(site)
    assert client.post("/api/login", json={"token": TOKEN}).status_code == 200
    return client


def told(response: Any) -> dict[str, str]:
    (error,) = response.json().values()
    assert set(error) == {"place", "problem", "remedy"}
    return error


STRANGERS: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": f"Basic {TOKEN}"},
    {"Authorization": TOKEN},
    {"Cookie": f"{COOKIE}={TOKEN}"},
]


def test_nobody_else_gets_anything(site: Site) -> None:
    site.tell(staged.change(1))
    site.record(staged.name(1))
    site.play("door", 0)
    asked = [*operations(site), *(("GET", path) for path in _PRIVATE)]
    assert len(asked) > 20
    asked.remove(("POST", "/api/login"))
    for (method, path), headers in itertools.product(asked, STRANGERS):
        response = stranger(site).request(method, path, headers=headers | ASKED)
        assert response.status_code == 401, (method, path)
        assert told(response)["problem"] == "not logged in"
        assert len(response.content) < 200


_PRIVATE = (
    *("/api/docs", "/api/openapi.json", "/api/nowhere", "/metrics", "/nowhere"),
    *("/static/app.js", "/static/app.css", "/static/index.html", "/static/..%2flogin.html"),
)


def test_the_page_leads_to_the_login_which_is_all_that_anybody_sees(site: Site) -> None:
    client = stranger(site)
    response = client.get("/")
    assert (response.status_code, response.headers["location"]) == (303, "/login")
    assert "password" in client.get("/login").text
    for path in ("/static/base.css", "/static/login.js", "/static/icon.svg"):
        assert client.get(path).status_code == 200
    assert client.get("/health").json() == {"status": "ok"}


def test_a_session_from_login_to_logout(site: Site) -> None:
    client = stranger(site)
    assert client.post("/api/login", json={"token": "wrong" * 5}).status_code == 401
    response = client.post("/api/login", json={"token": TOKEN})
    said = response.headers["set-cookie"]
    assert all(word in said for word in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age"))
    assert "Secure" not in said and TOKEN not in said
    assert client.get("/api/cameras").status_code == 200
    assert client.get("/").status_code == 200
    kept = client.cookies[COOKIE]
    assert client.post("/api/logout", headers=ASKED).status_code == 200
    again = stranger(site, cookies={COOKIE: kept})
    assert again.get("/api/cameras").status_code == 401


def test_a_cookie_is_secure_over_tls(site: Site) -> None:
    proxied = {"http://localhost": {"X-Forwarded-Proto": "https"}, "https://localhost": {}}
    for base, headers in proxied.items():
        client = TestClient(site.app, base)
        response = client.post("/api/login", json={"token": TOKEN}, headers=headers)
        assert "Secure" in response.headers["set-cookie"]


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:9999"},
    {"Origin": "http://[::1"},
]


def test_other_sites_change_nothing_with_a_cookie(site: Site) -> None:
    site.tell(staged.change(1))
    client, path = logged_in(site), f"/api/events/{staged.name(1)}/feedback"
    places = [("PUT", path), ("POST", "/api/login"), ("POST", "/api/logout")]
    for (method, where), headers in itertools.product(places, FOREIGN):
        body = FEEDBACK if where == path else {"token": TOKEN}
        response = client.request(method, where, json=body, headers=headers | ASKED)
        assert response.status_code == 403, where
    entry = site.journal.entry(staged.name(1))
    assert entry is not None and entry.verdict == ""
    # Whoever sends the token itself is no browser that was led here.
    assert program(site).put(path, json=FEEDBACK, headers=FOREIGN[0]).status_code == 200


def test_a_form_of_another_site_changes_nothing(site: Site) -> None:
    client, kind = logged_in(site), {"Content-Type": "text/plain"}
    for path in ("/api/login", "/api/logout", "/api/cameras/door/zones"):
        method = "PUT" if path.endswith("zones") else "POST"
        assert client.request(method, path, content=b"[]", headers=kind).status_code == 403
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert client.put("/api/cameras/door/zones", json=[], headers=own).status_code == 200


def test_other_sites_see_nothing_with_a_cookie(site: Site) -> None:
    site.live()
    site.play("door", 0)
    client = logged_in(site)
    for path in ("/api/cameras/door/picture.jpg", "/api/events", "/metrics"):
        assert client.get(path).status_code == 200
        assert client.get(path, headers={"Sec-Fetch-Site": "same-site"}).status_code == 403


OURS = ("localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:80", "192.168.0.7", "shop.example:8")
OTHERS = (
    *("evil.example", "localhost.evil.example", "", "localhost@b", "[::1", "localhost:http"),
    *("127.0.0.1.evil.example", "shop.example.", "0x7f.1"),
)


def test_it_answers_to_its_own_names(tmp_path: Path) -> None:
    site = Site(tmp_path, hosts=["Shop.example"])
    client = program(site)
    for host, path in itertools.product((*OURS, *OTHERS), ("/login", "/api/cameras", "/health")):
        response = client.get(path, headers={"Host": host})
        assert response.status_code == (200 if host in OURS else 421), host
    site.close()


def test_guessing_is_slow(tmp_path: Path) -> None:
    site = Site(tmp_path, allowance=Allowance())
    client = stranger(site)
    for _ in range(5):
        assert client.post("/api/login", json={"token": "x" * 20}).status_code == 401
    for token in ("x" * 20, TOKEN):
        response = client.post("/api/login", json={"token": token})
        assert response.status_code == 429
        assert 1 <= int(response.headers["retry-after"]) <= 60
        told(response)
    elsewhere = stranger(site, client=("10.0.0.9", 1))
    assert elsewhere.post("/api/login", json={"token": TOKEN}).status_code == 200
    site.close()


def test_guessing_by_bearer_is_as_slow(tmp_path: Path) -> None:
    site = Site(tmp_path, allowance=Allowance())
    client, wrong = stranger(site), {"Authorization": f"Bearer {'x' * 20}"}
    session = logged_in(site)
    answers = [client.get("/api/cameras", headers=wrong).status_code for _ in range(6)]
    assert answers == [401] * 4 + [429] * 2
    # Right or wrong, so that no answer tells which it was.
    assert program(site).get("/api/cameras").status_code == 429
    assert client.post("/api/login", json={"token": TOKEN}).status_code == 429
    assert session.get("/api/cameras").status_code == 200
    assert stranger(site, client=("10.0.0.9", 1)).get("/health", headers=wrong).status_code == 200
    site.close()


def test_an_old_session_is_no_guess(tmp_path: Path) -> None:
    """Pages that were open when the program started again ask with it, and then log in."""
    site = Site(tmp_path, allowance=Allowance())
    client = stranger(site, cookies={COOKIE: "of-before"})
    assert [client.get("/api/cameras").status_code for _ in range(20)] == [401] * 20
    assert client.post("/api/login", json={"token": TOKEN}).status_code == 200
    site.close()


def test_behind_a_proxy_each_is_counted_apart(tmp_path: Path) -> None:
    site = Site(tmp_path, allowance=Allowance(logins=1), proxies=["127.0.0.1", "10.0.0.1"])

    def tries(client: str, said: str) -> int:
        asking, headers = stranger(site, client=(client, 1)), {"X-Forwarded-For": said}
        return asking.post("/api/login", json={"token": "x"}, headers=headers).status_code

    assert tries("127.0.0.1", "192.0.2.1") == 401
    assert tries("127.0.0.1", "192.0.2.2") == 401
    for said in ("192.0.2.1", "192.0.2.99, 192.0.2.1", "odd, 192.0.2.1, 10.0.0.1"):
        assert tries("127.0.0.1", said) == 429
    assert tries("127.0.0.1", "2001:db8:1:2::1") == 401
    assert tries("127.0.0.1", "2001:db8:1:2:ffff::2") == 429
    # Anybody else can say what they like.
    assert tries("192.0.2.3", "192.0.2.4") == 401
    assert tries("192.0.2.3", "192.0.2.5") == 429
    site.close()


def test_who_asks_in_vain_keeps_nobody_from_the_login(tmp_path: Path) -> None:
    site = Site(tmp_path, allowance=Allowance(requests=3))
    client = stranger(site)
    assert [client.get("/api/cameras").status_code for _ in range(4)] == [401] * 3 + [429]
    assert client.get("/login").status_code == 200
    assert client.post("/api/login", json={"token": TOKEN}).status_code == 200
    site.close()


def test_a_browser_forgets_at_logout(site: Site) -> None:
    response = logged_in(site).post("/api/logout", headers=ASKED)
    assert response.headers["clear-site-data"] == '"cache"'


def test_each_may_ask_so_often(tmp_path: Path) -> None:
    site = Site(tmp_path, allowance=Allowance(requests=10))
    busy, other = logged_in(site), stranger(site, client=("10.0.0.9", 1))
    answers = [busy.get("/api/cameras").status_code for _ in range(12)]
    assert answers == [200] * 10 + [429] * 2
    assert int(busy.get("/api/cameras").headers["retry-after"]) >= 1
    assert program(site).get("/api/cameras").status_code == 200
    assert other.get("/api/cameras").status_code == 401
    assert [other.get("/login").status_code for _ in range(11)][-1] == 429
    assert busy.get("/health").status_code == 200
    site.close()


def test_large_bodies_are_not_taken(site: Site, client: TestClient) -> None:
    path = f"/api/events/{staged.name(1)}/feedback"
    large = json.dumps({"verdict": "right", "corrected": "x" * 70_000})
    whole = client.put(path, content=large, headers={"Content-Type": "application/json"})
    assert whole.status_code == 413
    chunks = (b" " * 10_000 for _ in range(10))
    assert client.put(path, content=chunks).status_code == 413
    assert client.put(path, json={"verdict": "right", "corrected": "x" * 60_000}).status_code == 404


def test_browsers_are_told_what_the_page_never_does(site: Site, client: TestClient) -> None:
    answers = [client.get(p) for p in ("/", "/login", "/api/cameras", "/nowhere", "/health")]
    answers += [stranger(site).get("/api/cameras"), client.get("/", headers={"Host": "evil"})]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers
    assert answers[2].headers["cache-control"] == "no-store"


def test_the_pages_hold_no_script_or_style_of_their_own(client: TestClient) -> None:
    for path in ("/", "/login", "/api/docs"):
        text = client.get(path).text
        assert "style=" not in text and "<style" not in text and " onclick" not in text
        assert text.count("<script") == text.count('<script type="module" src="/static/')
        assert "//" not in text.replace("<!doctype html>", "").replace("http://www.w3.org", "")
