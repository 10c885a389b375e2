"""Small experiments for tests."""

from growth.abtest import Experiment


def metric(name="m", **keys):
    base = {"name": name, "kind": "mean", "role": "goal", "good": "up"}
    return {**base, **keys}


def experiment(*metrics, **keys):
    base = {"schema": 1, "id": "e", "control": "A", "arms": {"A": 1, "B": 1}}
    return Experiment.from_dict({**base, "metric": list(metrics or [metric()]), **keys})


def codes(result):
    return [notice.code for notice in result.notices]
