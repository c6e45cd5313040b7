"""Rules: who may do what at which topics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.names import checkFilter
from wsd.protocols.topics.rules import Action, Claims, Rules, Subject, decisionsOf, parseRule, readRule

STRANGER = Subject(isSameOrigin=False)
PAGE = Subject(isSameOrigin=True)
ANN = Subject(isSameOrigin=False, user="ann")


def bearer(*patterns: str) -> Subject:
    """One whose token allows to subscribe to these."""
    return Subject(False, None, Claims({Action.subscribe: tuple(map(checkFilter, patterns))}, None, 0.0))


def rulesOf(*texts: str, clock: Any = None) -> Rules:
    rules = dict.fromkeys(Action, ()) | {Action.subscribe: tuple(map(parseRule, texts))}
    return Rules(rules, clock or Clock(), patience=5)


def judge(rules: Rules, topic: str, subject: Subject = STRANGER) -> str:
    """The verdict on a subscription: "" or the code of the error."""
    try:
        assert rules.may(Action.subscribe, topic, checkFilter(topic), subject) is None
    except TopicError as error:
        return error.code
    return ""


class TestARule:
    @pytest.mark.parametrize(
        ("who", "subject", "verdict"),
        [
            ("anyone", STRANGER, ""),
            ("same-origin", STRANGER, "forbidden"),
            ("same-origin", PAGE, ""),
            ("user", STRANGER, "unauthorized"),
            ("user", ANN, ""),
            ("token", ANN, "unauthorized"),
            ("token", bearer("a"), ""),
            ("token", bearer("b", "#"), ""),
            ("token", bearer("b"), "forbidden"),
            ("token", bearer(), "forbidden"),
        ],
    )
    def test_says_who_may(self, who: str, subject: Subject, verdict: str) -> None:
        assert judge(rulesOf(who), "a", subject) == verdict

    def test_holds_at_its_topics_only(self) -> None:
        rules = rulesOf("anyone open/#")
        assert judge(rules, "open/a") == ""
        assert judge(rules, "other") == "forbidden"

    def test_before_others_decides(self) -> None:
        rules = rulesOf("user secret/#", "anyone")
        assert judge(rules, "secret/a") == "unauthorized"
        assert judge(rules, "secret") == "unauthorized"
        assert judge(rules, "other") == ""
        assert judge(rulesOf("anyone", "user secret/#"), "secret/a") == ""

    def test_for_another_action_does_not_count(self) -> None:
        with pytest.raises(TopicError, match="no rule of this route allows anyone to publish to 'a'"):
            rulesOf("anyone").may(Action.publish, "a", ("a",), STRANGER)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "is not a rule; write one of anyone, same-origin, token, user or a function such as"),
            ("everyone", "is not a rule; write one of"),
            ("token a/#/b", "has # before its last level"),
            ("a-b:c", "is not a rule; write one of"),
        ],
    )
    def test_that_is_none_is_refused(self, text: str, said: str) -> None:
        with pytest.raises(ValueError, match="rule") as caught:
            parseRule(text)
        assert said in str(caught.value)


class TestAFilter:
    """What a subscription to a filter may not do: let through what a rule keeps apart."""

    @pytest.mark.parametrize("topic", ["#", "+/a", "secret/+", "+/#", "secret/#"])
    def test_needs_the_permission_of_every_rule_that_it_touches(self, topic: str) -> None:
        rules = rulesOf("user secret/#", "anyone")
        assert judge(rules, topic) == "unauthorized"
        assert judge(rules, topic, ANN) == ""

    def test_is_refused_where_no_rule_covers_it(self) -> None:
        rules = rulesOf("anyone a/#", "anyone b/#")
        assert judge(rules, "a/+") == ""
        assert judge(rules, "#") == "forbidden"

    def test_needs_a_token_for_all_of_it(self) -> None:
        rules = rulesOf("token")
        assert judge(rules, "a/#", bearer("a/+", "a/b/#")) == "forbidden"
        assert judge(rules, "a/+", bearer("a/+")) == ""

    def test_does_not_reach_the_daemons_own_topics(self) -> None:
        assert judge(rulesOf("anyone"), "$sys/a") == "forbidden"
        assert judge(rulesOf("anyone $sys/#", "user"), "#") == "unauthorized"


DECISIONS: list[tuple[str, str]] = []
ANSWER: Any = True


def decide(action: Action, topic: str, subject: Subject) -> Any:
    DECISIONS.append((action.value, topic))
    if isinstance(ANSWER, Exception):
        raise ANSWER
    return ANSWER


async def decideLater(action: Action, topic: str, subject: Subject) -> bool:
    return topic == "yes"


THIS = f"{__name__}:decide"


class TestADecision:
    def verdict(self, answer: Any, who: str = THIS, topic: str = "a") -> str:
        global ANSWER
        ANSWER = answer
        decided = rulesOf(who).may(Action.subscribe, topic, checkFilter(topic), STRANGER)
        assert decided is not None
        found: list[Any] = []
        decided.addBoth(found.append)
        (value,) = found
        return "" if value is None else str(value.value.code)

    @pytest.mark.parametrize(
        ("answer", "verdict"), [(True, ""), (False, "forbidden"), (None, "forbidden"), ("yes", "forbidden")]
    )
    def test_allows_by_true_alone(self, answer: Any, verdict: str) -> None:
        DECISIONS.clear()
        assert self.verdict(answer) == verdict
        assert DECISIONS == [("subscribe", "a")]

    def test_may_be_in_a_file_beside_the_configuration(self, tmp_path: Path) -> None:
        folder = tmp_path / "with blanks"
        folder.mkdir()
        (folder / "rules.py").write_text("def decide(action, topic, subject):\n    return topic == 'chat/a'\n")
        rule = readRule("rules.py:decide  chat/#", str(folder))
        assert rule == f"{folder}/rules.py:decide chat/#"
        assert list(decisionsOf(["anyone", rule])) == [f"{folder}/rules.py:decide"]
        assert (self.verdict(None, rule, "chat/a"), self.verdict(None, rule, "chat/b")) == ("", "forbidden")

    def test_that_raises_allows_nothing(self) -> None:
        assert self.verdict(RuntimeError("broken")) == "forbidden"

    @pytest.mark.parametrize(("topic", "verdict"), [("yes", ""), ("no", "forbidden")])
    def test_may_be_a_coroutine(self, topic: str, verdict: str) -> None:
        assert self.verdict(None, f"{__name__}:decideLater", topic) == verdict

    def test_that_takes_too_long_allows_nothing(self) -> None:
        global ANSWER
        ANSWER = Deferred()
        clock = Clock()
        decided = rulesOf(THIS, clock=clock).may(Action.subscribe, "a", ("a",), STRANGER)
        assert decided is not None
        found: list[Any] = []
        decided.addBoth(found.append)
        clock.advance(4.9)
        assert found == []
        clock.advance(0.1)
        assert found[0].value.code == "forbidden"

    @pytest.mark.parametrize(
        ("who", "said"),
        [
            ("no.such.module:decide", 'there is no module "no.such.module"'),
            (f"{__name__}:nothing", 'has no "nothing"'),
            ("/no/such/folder/rules.py:decide", "there is no folder /no/such/folder"),
            (f"{__name__}:STRANGER", "is not callable"),
        ],
    )
    def test_that_cannot_be_loaded_is_refused(self, who: str, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            rulesOf(who)
