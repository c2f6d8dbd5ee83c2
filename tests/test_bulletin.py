from __future__ import annotations

import threading

from yololstm.bulletin import Bulletin, Notice


def test_whoever_listens_hears_it_in_order_and_in_the_same_thread() -> None:
    bulletin, heard = Bulletin(), []
    for name in "ab":
        bulletin.listen(
            lambda notice, name=name: heard.append((name, notice, threading.get_ident()))
        )
    bulletin.post("camera", {"camera": "door"})
    bulletin.post("zones", {})
    here = threading.get_ident()
    assert heard == [
        (name, notice, here)
        for notice in (Notice("camera", {"camera": "door"}), Notice("zones", {}))
        for name in "ab"
    ]


def test_nothing_is_heard_before_or_after_one_listens() -> None:
    bulletin, heard = Bulletin(), []
    bulletin.post("camera", {"n": 1})
    leave = bulletin.listen(lambda notice: heard.append(notice.about["n"]))
    bulletin.post("camera", {"n": 2})
    leave()
    bulletin.post("camera", {"n": 3})
    leave()  # again is no matter
    assert heard == [2]


def test_one_may_leave_or_come_while_it_is_told() -> None:
    bulletin, heard = Bulletin(), []

    def once(notice: Notice) -> None:
        heard.append("once")
        leave()
        bulletin.listen(lambda notice: heard.append("new"))

    leave = bulletin.listen(once)
    bulletin.listen(lambda notice: heard.append("other"))
    bulletin.post("camera", {})
    assert heard == ["once", "other"]
    bulletin.post("camera", {})
    assert heard == ["once", "other", "other", "new"]


def test_threads_come_go_and_tell_at_once() -> None:
    bulletin, stays = Bulletin(), []
    bulletin.listen(lambda notice: stays.append(notice.about["n"]))
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(200):
                heard: list[int] = []
                leave = bulletin.listen(lambda notice, heard=heard: heard.append(notice.about["n"]))
                bulletin.post("camera", {"n": 1000 * number + n})
                leave()
                assert 1000 * number + n in heard
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(stays) == sorted(1000 * number + n for number in range(4) for n in range(200))
    assert len(bulletin._listeners) == 1
