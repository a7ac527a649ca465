from collections import Counter

from hypothesis import given, strategies as st

from minvae_pyro.corpora.sampler import BatchOrder


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=20),
    st.integers(1, 7),
    st.one_of(st.none(), st.integers(1, 20)),
    st.integers(0, 3),
)
def test_an_epoch_takes_every_utterance_in_whole_pieces(lengths, size, crop, epoch):
    order = BatchOrder(lengths, size, crop, shuffle=True, seed=1)
    order.set_epoch(epoch)
    batches = list(order)
    assert len(batches) == len(order)
    pieces = [piece for batch in batches for piece in batch.pieces]
    assert all(len(batch.pieces) <= size for batch in batches)
    assert len(set(pieces)) == len(pieces)
    frames = Counter()
    for piece in pieces:
        assert 0 <= piece.start < piece.stop <= lengths[piece.row]
        frames[piece.row] += piece.stop - piece.start
    for row, length in enumerate(lengths):
        lost = 0 if crop is None or length < crop else length % crop
        assert frames[row] == length - lost


def test_order_depends_on_seed_and_epoch_and_on_nothing_else():
    def batches(seed, epoch):
        order = BatchOrder([50] * 40, 4, 16, shuffle=True, seed=seed)
        order.set_epoch(epoch)
        return list(order)

    assert batches(0, 1) == batches(0, 1)
    assert batches(0, 1) != batches(0, 2)
    assert batches(0, 1) != batches(1, 1)
    seeds = [batch.seed for epoch in range(5) for batch in batches(0, epoch)]
    assert len(set(seeds)) == len(seeds)


def test_validation_order_stays():
    order = BatchOrder([3, 1, 2], 2, None, shuffle=False, seed=0)
    before = list(order)
    order.set_epoch(5)
    assert list(order) == before
    assert [p.row for batch in before for p in batch.pieces] == [0, 1, 2]


def test_pieces_of_like_length_share_a_batch():
    lengths = [10, 90] * 64
    order = BatchOrder(lengths, 4, None, shuffle=True, seed=0)
    assert all(len({lengths[p.row] for p in batch.pieces}) == 1 for batch in order)


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=20),
    st.integers(1, 4),
    st.integers(1, 4),
    st.one_of(st.none(), st.integers(1, 20)),
    st.booleans(),
)
def test_processes_share_the_batches_of_one(lengths, size, world, crop, shuffle):
    whole = list(BatchOrder(lengths, size * world, crop, shuffle, seed=1, epoch=2))
    orders = [BatchOrder(lengths, size, crop, shuffle, 1, 2, rank, world) for rank in range(world)]
    assert [len(order) for order in orders] == [len(whole)] * world
    for batch, *shares in zip(whole, *orders, strict=True):
        pieces = [piece for share in shares if share.counts for piece in share.pieces]
        assert sorted(pieces) == sorted(batch.pieces)
        assert all(1 <= len(share.pieces) <= size for share in shares)
        # no process draws the numbers of another
        assert len({share.seed for share in shares}) == world
