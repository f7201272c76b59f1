"""The table of states: every pair is either in it or refused."""

from __future__ import annotations

import pytest

from apps.sessions.engine.states import (
    ACTIVE,
    COUNTED,
    FINAL,
    HUMAN,
    ON_A_WORKER,
    TRANSITIONS,
    Command,
    State,
    allowed,
    next_state,
)
from apps.sessions.models import Status
from apps.ui.engine.refusal import Refusal

PAIRS = [(state, command) for state in State for command in Command]


@pytest.mark.parametrize(("state", "command"), PAIRS)
def test_a_pair_leads_where_the_table_says_or_is_refused(state, command):
    if (state, command) in TRANSITIONS:
        assert next_state(state, command) is TRANSITIONS[state, command]
        return
    with pytest.raises(Refusal) as refused:
        next_state(state, command)
    assert (refused.value.code, refused.value.status) == ("invalid_transition", 409)
    assert refused.value.params == {"state": str(state), "command": str(command)}


def test_what_is_completed_stays_completed():
    assert not [pair for pair in TRANSITIONS if pair[0] is State.COMPLETED]


def test_a_final_state_is_left_by_retry_alone():
    assert {command for state, command in TRANSITIONS if state in FINAL} == {Command.RETRY}


def test_nothing_becomes_a_draft_again():
    assert State.DRAFT not in TRANSITIONS.values()


@pytest.mark.parametrize("state", sorted(ON_A_WORKER))
def test_whatever_runs_survives_the_loss_of_its_process(state):
    wanted = {State.RUNNING: State.QUEUED, State.PAUSING: State.PAUSED, State.CANCELLING: State.CANCELLED}
    assert TRANSITIONS[state, Command.REQUEUE] is wanted[state]


@pytest.mark.parametrize("state", sorted(set(State) - FINAL))
def test_whatever_is_not_over_can_be_ended(state):
    reached, seen = {state}, set()
    while reached:
        now = reached.pop()
        seen.add(now)
        reached |= {target for (source, _), target in TRANSITIONS.items() if source is now} - seen
    assert State.CANCELLED in seen


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        (State.DRAFT, (Command.CANCEL,)),
        (State.QUEUED, (Command.PAUSE, Command.CANCEL)),
        (State.RUNNING, (Command.PAUSE, Command.CANCEL)),
        (State.PAUSING, (Command.CANCEL,)),
        (State.PAUSED, (Command.RESUME, Command.CANCEL)),
        (State.INTERRUPTED, (Command.RESUME, Command.CANCEL, Command.RETRY)),
        (State.CANCELLING, ()),
        (State.COMPLETED, ()),
        (State.FAILED, (Command.RETRY,)),
        (State.CANCELLED, (Command.RETRY,)),
    ],
)
def test_a_person_is_offered_what_the_state_allows(state, buttons):
    assert allowed(state) == buttons


def test_the_database_knows_the_same_states():
    assert list(Status.values) == [str(state) for state in State]
    assert COUNTED < ACTIVE
    assert ON_A_WORKER < ACTIVE
    assert set(HUMAN) < set(Command)
