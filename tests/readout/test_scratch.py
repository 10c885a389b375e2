import tempfile

import pytest

from growth.readout.scratch import scratch, sockets_work

RUN = "20260201T031500Z-7f3a9c"


@pytest.mark.parametrize(("folder", "inside"), [("/t", True), ("/" + "t" * 90, False)])
def test_a_runs_folder_leaves_room_for_a_sockets_name(monkeypatch, folder, inside):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: folder)
    found = scratch(RUN)
    assert found.name == f"growth-{RUN}"
    assert (str(found.parent) == folder) is inside
    assert len(str(found)) <= 60


def test_sockets_are_tried_and_leave_nothing(tmp_path):
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        place = type(tmp_path)(short)
        assert sockets_work(place)
        assert list(place.iterdir()) == []
    assert not sockets_work(tmp_path / ("x" * 60))
    assert not sockets_work(type(tmp_path)("/proc/none"))
