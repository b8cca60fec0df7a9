"""What a job may be called, and how Jenkins addresses it."""

from __future__ import annotations

import pytest

from bot.providers.jenkins_names import branch_job, names, path

SERVER = "https://ci.example.com/jenkins"


@pytest.mark.parametrize(
    ("job", "way"),
    [
        ("build", ("build",)),
        ("team/sub/build", ("team", "sub", "build")),
        ("/team/build/", ("team", "build")),
        ("team/my job (1)", ("team", "my job (1)")),
        ("job/team/job/my%20job", ("team", "my job")),
        ("/job/team/job/x/", ("team", "x")),
        ("job/team/view/all/job/x", ("team", "x")),
        ("team/job/x", ("team", "job", "x")),
        ("job", ("job",)),
        (f"{SERVER}/job/team/job/x%252Fy/", ("team", "x%2Fy")),
        ("http://bot@CI.example.com/jenkins/view/mine/job/x", ("x",)),
        ("https://ci.example.com/job/x", ()),
        ("https://other.example.com/jenkins/job/x", ()),
        (f"{SERVER}/job/x/lastBuild", ()),
        (f"{SERVER}/", ()),
        ("job/a/x", ()),
        ("job/a/label/b", ()),
        ("a//b", ()),
        ("a/../b", ()),
        ("job/../job/x", ()),
        ("", ()),
    ],
)
def test_a_job_is_named_in_three_ways(job: str, way: tuple[str, ...]) -> None:
    assert names(job, SERVER) == way


def test_each_name_is_one_segment() -> None:
    assert path(("team a", "ä/b", "feature%2Fx")) == "/job/team%20a/job/%C3%A4%2Fb/job/feature%252Fx"


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("main", "main"),
        ("feature/x", "feature%2Fx"),
        ("refs/heads/feature/x", "feature%2Fx"),
        ("refs/tags/v1.0", "v1.0"),
        ("a#b%c?d[e]", "a%23b%25c%3Fd%5Be%5D"),
        ("a@b+c", "a@b+c"),
        ("..", "%2E."),
    ],
)
def test_a_branch_job_is_named_as_the_multibranch_project_names_it(ref: str, name: str) -> None:
    assert branch_job(ref) == name
