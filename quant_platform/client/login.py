"""Name and password for a JWT, a refresh token for the next one, and their end."""

from __future__ import annotations

from collections.abc import Sequence

from .calls import Answer, Call, mapping
from .errors import UnexpectedAnswer
from .secret import Keys


def token(username: str, password: str, code: str, scopes: Sequence[str]) -> Call[Keys]:
    body = {"username": username, "password": password, "code": code, "scopes": list(scopes)}
    return Call("POST", "/api/token", read_keys, body=body, public=True)


def refresh(keys: Keys) -> Call[Keys]:
    body = {"refresh_token": keys.refresh.reveal() if keys.refresh is not None else ""}
    return Call("POST", "/api/token/refresh", read_keys, body=body, public=True)


def revoke(keys: Keys) -> Call[None]:
    body = {"token": (keys.refresh or keys.access).reveal()}
    return Call("POST", "/api/token/revoke", lambda answer: None, body=body, public=True)


def read_keys(answer: Answer) -> Keys:
    """Return the keys of a grant; never shows what was in a broken one."""
    try:
        return Keys.of_grant(mapping(answer.json()))
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedAnswer(f"the grant lacks something: {type(error).__name__}") from None
