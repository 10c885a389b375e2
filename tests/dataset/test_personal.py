import pytest

from growth.dataset.personal import looks_like_id, looks_personal, mask_value


@pytest.mark.parametrize(
    "name",
    [
        *("手机号", "收货人姓名", "client_ip", "clientIp", "receiverName", "e-mail"),
        *("name", "user_name", "openid", "user.unionid", "identities.$identity_mp_id"),
    ],
)
def test_names_that_tell_who(name):
    assert looks_personal(name)


@pytest.mark.parametrize(
    "name",
    ["门店", "page_name", "商品名称", "shipping", "tips", "event_name", "userid"],
)
def test_names_that_do_not(name):
    assert not looks_personal(name)


def test_values_that_look_like_ids():
    assert looks_like_id("oFixtureUser0000000000000001")
    assert looks_like_id("13800138000")
    assert looks_like_id("+8613800138000")
    assert not looks_like_id("a9530973f1550ece9ef88f489688d062")
    assert not looks_like_id("A001")


def test_what_is_shown_of_a_value():
    assert mask_value("x" * 100) == "x" * 80
    assert mask_value(None) == ""
    assert mask_value("b-1", personal=True) == "masked, 3 characters"
    assert mask_value("13800138000") == "masked, 11 characters"
    assert mask_value("ada@example.com") == "masked, 15 characters"
    assert mask_value("") == ""
