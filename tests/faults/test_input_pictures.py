"""Input pictures: what can be given, what is refused in one sentence before anything is sent."""

from __future__ import annotations

import io
import socket
import struct
import zlib
from pathlib import Path

import httpx
import numpy as np
import pytest
from contract import ContractServer
from photos import encoded, photo, saved
from PIL import Image

import qwen_widgets as qw
from qwen_widgets.core.download import Downloads
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import Size
from qwen_widgets.grid.given import given_by_name
from qwen_widgets.offline.service import API_PATH


def nothing_left(contract: ContractServer) -> bool:
    return contract.submits == [] and contract.uploads == [] and contract.service.uploads.kept == ()


# --- what can be given ------------------------------------------------------------------------------------


def test_whatever_holds_a_picture_can_be_given(contract: ContractServer, tmp_path: Path) -> None:
    path = saved(tmp_path, "photo.jpg")
    address = f"{contract.base_url.removesuffix(API_PATH)}/uploads/"
    address += contract.service.uploads.add(path.read_bytes(), content_type="image/jpeg").name
    array = np.asarray(photo())
    grid = qw.generate("a red fox", seeds=1, sizes="512x512")
    for given in (path, str(path), address, photo(), array, array / 255, array[:, :, 0], grid[0, 0], grid):
        edit = qw.generate(f"edit of {type(given).__name__}", seeds=1, images=given)
        assert [cell.state for cell in edit] == ["stored"], given
        assert edit[0, 0].error is None
    # The bytes of a file are sent as they are, from a path and from an address alike.
    sent = {kept.data for kept in contract.service.uploads.kept}
    assert path.read_bytes() in sent
    # Equal pictures are one upload: the PIL image and its array, in whole numbers and in fractions.
    assert len(contract.uploads) == 4


def test_an_array_is_sent_as_it_looks(contract: ContractServer) -> None:
    array = np.zeros((400, 500, 4), np.uint8)
    array[:, :250] = (255, 0, 0, 255)
    qw.generate("a fox", seeds=1, images=array)
    (kept,) = contract.service.uploads.kept
    assert kept.data is not None
    image = Image.open(io.BytesIO(kept.data))
    assert (image.size, image.mode) == ((500, 400), "RGBA")
    assert np.array_equal(np.asarray(image), array)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_held_on_its_side_is_sent_upright(
    contract: ContractServer, kind: str, tmp_path: Path
) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    turned[0x010E] = "where I live"
    path = tmp_path / "side.picture"
    path.write_bytes(encoded(photo(800, 400), kind, exif=turned))
    grid = qw.generate("a fox", seeds=1, images=path)
    assert grid[0, 0].request.size == Size(400, 800)
    qw.generate("a fox", seeds=1, images=Image.open(path))
    sent = [kept.data or b"" for kept in contract.service.uploads.kept]
    for data in sent:
        # Whoever looks at the pixels alone sees what a person sees.
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (400, 800)
            assert image.getexif().get(0x0112) is None
            # Its left half was teal: held so, it is the upper one.
            assert image.convert("RGB").getpixel((200, 100)) == pytest.approx((15, 120, 120), abs=25)
        assert b"where I live" not in data
    assert grid[0, 0].request.images[0].source == str(path)
    assert qw.generate("a fox", seeds=1, images=path)[0, 0].cached


@pytest.mark.parametrize("deep", ["I;16", "I", "F of 1", "F of 255"])
def test_a_picture_of_deep_greys_is_sent_as_it_looks(contract: ContractServer, deep: str) -> None:
    mode, _, top = deep.partition(" of ")
    ramp = np.linspace(0, float(top or 65535), 500).reshape(1, 500).repeat(400, axis=0)
    kinds = {"I;16": "uint16", "I": "int32", "F": "float32"}
    image = Image.fromarray(ramp.astype(kinds[mode]))
    assert image.mode == mode
    qw.generate("a fox", seeds=1, images=image)
    (kept,) = contract.service.uploads.kept
    sent = np.asarray(Image.open(io.BytesIO(kept.data or b"")).convert("L"))[0].astype(int)
    assert (sent[0], sent[-1]) == (0, 255)
    assert sent[250] == pytest.approx(127, abs=2)


def test_deep_values_that_are_no_greys_are_one_sentence(contract: ContractServer) -> None:
    for values in (-1.0, 300.0, np.nan):
        image = Image.fromarray(np.full((400, 500), values, "float32"))
        with pytest.raises(InputError, match=r"image 1: it holds values that are no colours; .*\.$"):
            qw.generate("a fox", seeds=1, images=image)
    assert nothing_left(contract)


def test_a_picture_is_scaled_only_when_asked(contract: ContractServer) -> None:
    small, large = photo(300, 200), photo(4000, 1000)
    for image in (small, large):
        with pytest.raises(InputError, match=r"384 to 3072 pixels; --fit scales it"):
            qw.generate("a fox", seeds=1, images=image)
    assert nothing_left(contract)
    assert qw.generate("a fox", seeds=1, images=small, fit=True)[0, 0].request.size == Size(576, 384)
    assert qw.generate("a fox", seeds=1, images=large, fit=True)[0, 0].request.size == Size(3072, 768)
    with pytest.raises(InputError, match="too narrow"):
        qw.generate("a fox", seeds=1, images=photo(2000, 100), fit=True)
    fits = photo()
    plain, fitted = (qw.generate("a fox", seeds=1, images=fits, fit=fit) for fit in (False, True))
    assert fitted[0, 0].request.key == plain[0, 0].request.key


# --- what is refused --------------------------------------------------------------------------------------


def bomb() -> bytes:
    """A PNG of 9000 × 9000 pixels in 80 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 9000, 9000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 9001 * 9000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


CUT_OFF = encoded(photo(), "JPEG")[:4000]


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


HTML = b"<!doctype html><html><script>alert(1)</script></html>"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("fox.svg", SVG, "is not a PNG, JPEG or WebP picture"),
        ("fox.png", SVG, "is not a PNG, JPEG or WebP picture"),
        ("fox.png", HTML, "is not a PNG, JPEG or WebP picture"),
        ("fox.png", b"", "is not a PNG, JPEG or WebP picture"),
        ("fox.gif", b"GIF89a" + bytes(100), "is not a PNG, JPEG or WebP picture"),
        ("fox.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "can't be decoded"),
        ("fox.png", bomb(), "has 9000×9000 pixels, more than the 40 million"),
        (
            "fox.png",
            encoded(photo(300, 300)),
            r"it is 300×300, and qwen-image-2\.0-edit takes .* 384 to 3072",
        ),
        ("fox.jpg", CUT_OFF, "can't be decoded"),
    ],
    ids=["svg", "svg named png", "html", "empty", "gif", "broken", "81 megapixels", "300×300", "cut off"],
)
def test_a_hostile_or_wrong_file_is_one_sentence(
    contract: ContractServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    data: bytes,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        qw.generate("a fox", seeds=1, images=Path(name))
    assert f"image {name!r}: " in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.paid == "no"
    assert contract.asked == []
    assert nothing_left(contract)


def test_a_long_path_is_shown_by_its_two_ends(contract: ContractServer) -> None:
    path = f"photos/{'deep/' * 40}the fox.png"
    with pytest.raises(InputError) as caught:
        qw.generate("a fox", seeds=1, images=path)
    shown = caught.value.message.split("'")[1]
    assert len(shown) == 80
    assert shown.startswith("photos/deep/")
    assert shown.endswith("deep/the fox.png")
    assert "there is no such file" in caught.value.message
    assert contract.asked == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nothing.png", "there is no such file"),
        ("photo", "no variable and no file of that name"),
        ("file:///etc/passwd", "file: is not opened"),
        ("file:/etc/passwd", "file: is not opened"),
        ("ftp://example.com/a.png", "ftp: is not opened"),
        ("data:image/png;base64,iVBORw0KGgo=", "data: is not opened"),
        ("http://example.com/a.png", "not https on port 443"),
        ("https://example.com:8443/a.png", "not https on port 443"),
        ("https://user:secret@example.com/a.png", "carries a user name"),
        ("https://10.0.0.1/a.png", "leads into a private network"),
        ("https://192.168.1.1/a.png", "leads into a private network"),
        ("https://169.254.169.254/latest/meta-data", "leads into a private network"),
        ("https://[::ffff:10.0.0.1]/a.png", "leads into a private network"),
        ("https://[fec0::1]/a.png", "leads into a private network"),
        ("https://[::ffff:0:10.0.0.1]/a.png", "leads into a private network"),
        ("https://[fd00::1]/a.png", "leads into a private network"),
        ("https://", "^image 'https://': the picture's address can't be used: https://"),
        ("~nouser/p.png", "^image '~nouser/p.png': there is no home folder ~nouser"),
        (Path("~nouser/p.png"), "^image '~nouser/p.png': there is no home folder ~nouser"),
        ("/", "not a file"),
        ("/dev/zero", "not a file"),
        ("a\0b.png", "can't be the name of a file"),
        ("", "it is empty"),
        ("kept:0123456789", "no such picture among those kept"),
        ("kept:../../ledger", "no such picture among those kept"),
        ("0123456789ab[0,0]", "the ledger has no such run"),
        (7, "of the type int"),
        ([None], "^image 1: it is None, where a picture is wanted; give a path"),
        ([photo(), None], "^image 2: it is None, where a picture is wanted"),
        (np.zeros((400, 400, 7)), "an array of 400 × 400 × 7"),
        (np.full((400, 400), np.nan), "values that are no colours"),
        (np.full((400, 400), 300), "values that are no colours"),
        (np.full((400, 400), "x"), "values that are no colours"),
        ([photo()] * 7, "7 were given, and qwen-image-2.0-edit takes at most 6"),
    ],
)
def test_what_cannot_be_given_is_one_sentence(contract: ContractServer, given: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        qw.generate("a fox", seeds=1, images=given)
    assert "\n" not in caught.value.message
    assert "secret" not in caught.value.message
    assert contract.asked == []
    assert nothing_left(contract)


def test_a_variable_that_holds_no_picture_is_one_sentence(contract: ContractServer) -> None:
    for word, names in (("photo", {"photo": None}), ("photos[1]", {"photos": [photo(), None]})):
        given = given_by_name(word, names)
        with pytest.raises(InputError, match="it is None, where a picture is wanted; give a path") as caught:
            qw.generate("a fox", seeds=1, images=[given])
        assert caught.value.message.startswith(f"image {word!r}: ")
    assert contract.asked == []


@pytest.mark.parametrize(
    ("model", "images", "words"),
    [
        ("qwen-image-2.0", True, "qwen-image-2.0-edit takes pictures"),
        ("qwen-image-2.0-pro,qwen-image-2.0-edit", True, "qwen-image-2.0-pro-edit takes pictures"),
        ("qwen-image-2.0-edit", False, "give one with -i"),
        ("seedream-5-lite-edit", False, "or use seedream-5-lite, which makes one of words"),
    ],
)
def test_a_model_for_something_else_names_the_right_one(
    contract: ContractServer, model: str, images: bool, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        qw.generate("a fox", seeds=1, models=model, images=photo() if images else None)
    assert contract.asked == []


def test_a_name_that_leads_home_is_met_before_anything_is_sent(
    contract: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Offline not even loopback is allowed, whatever DNS says of a public name.
    monkeypatch.setenv("QWEN_WIDGETS_PROVIDER", "offline")
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *rest, **more: real("127.0.0.1", *rest, **more))
    # Only https on port 443 may be opened, where no test can listen; the address itself is beyond suspicion here.
    monkeypatch.setattr(Downloads, "_check_url", lambda _self, address, _what="": httpx.URL(address))
    port = contract.base_url.rpartition(":")[2].partition("/")[0]
    with pytest.raises(InputError, match="leads into a private network"):
        qw.generate("a fox", seeds=1, images=f"http://rebind.example:{port}/a.png")
    assert contract.asked == []


def test_a_page_at_an_address_is_no_picture(contract: ContractServer) -> None:
    upload = contract.service.uploads.add(HTML, content_type="image/png")
    address = f"{contract.base_url.removesuffix(API_PATH)}/uploads/{upload.name}"
    with pytest.raises(InputError, match="is not a PNG, JPEG or WebP picture"):
        qw.generate("a fox", seeds=1, images=address)
    with pytest.raises(InputError, match="doesn't work"):
        qw.generate("a fox", seeds=1, images=address + "x")
    assert contract.submits == []
    assert contract.uploads == []
