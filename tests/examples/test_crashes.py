"""The host dies before any one of its commits."""

from devhost.testing import TestHost
from tests.documents import ROOT

HEADLINES = ROOT / "tests" / "apps" / "function_chaining"


# [example: every commit]
async def test_a_crash_at_any_commit_changes_no_result() -> None:
    commit, died = 0, True
    while died:
        commit += 1
        async with TestHost(HEADLINES) as host:
            steps = [host.activity(name) for name in ("tidy", "title", "frame")]
            headline = await host.start_orchestration("headline", "jar of honey")
            host.kill_at_commit(commit)
            assert await headline.result() == "*** Jar Of Honey ***"
            died = host.deaths == 1
            assert sum(len(step.calls) for step in steps) <= 3 + host.deaths
    assert commit > 5


# [end]
