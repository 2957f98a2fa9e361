import pytest

from mlob.data import digests, images, places


@pytest.mark.parametrize("is_remote", [False, True])
def test_digests_come_in_the_order_of_the_photos_and_reasons_in_place_of_some(tmp_path, is_remote):
    photos = [tmp_path / f"{number}.jpg" for number in range(3 * digests.AHEAD * places.READS)]
    for number, photo in enumerate(photos):
        photo.write_bytes(b"%d" % number)
    photos[7].unlink()
    photos[9].write_bytes(b"")
    found = list(digests.of([None, *photos], is_remote=is_remote))
    expected = [images.content_digest(b"%d" % number) for number in range(len(photos))]
    assert (found[0], found[8]) == ("no file", "no file") and isinstance(found[10], str)
    assert [each for each in found if isinstance(each, int)] == [*expected[:7], expected[8], *expected[10:]]
