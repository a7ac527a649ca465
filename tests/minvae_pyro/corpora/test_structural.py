from typing import Any

from minvae_pyro.corpora.corpus import Corpus, MemoryCorpus, PreparedCorpus, Transform


class Plain:
    def __call__(self, utterances, generator, corpus):  # type: ignore[no-untyped-def]
        return utterances


class Generous:
    def __call__(self, *parts: Any, **options: Any) -> None: ...


class Narrow:
    def __call__(self, utterances: Any) -> None: ...


class Library:
    def load(self, row: int, start: int = 0, stop: int | None = None) -> None: ...

    def load_power(self, row: int, start: int, stop: int) -> None: ...


def test_whatever_is_called_like_a_transform_is_one() -> None:
    assert issubclass(Plain, Transform)
    assert isinstance(Plain(), Transform)
    assert issubclass(Generous, Transform)
    assert not issubclass(Narrow, Transform)
    assert not issubclass(Library, Transform)
    # a class is no transform because it can be called to make one
    assert not isinstance(Plain, Transform)


def test_whatever_has_the_methods_of_a_corpus_is_one() -> None:
    assert issubclass(Library, Corpus)
    assert issubclass(MemoryCorpus, Corpus)
    assert not issubclass(Plain, Corpus)
    assert not issubclass(Library, PreparedCorpus)


def test_what_is_lacking_is_said() -> None:
    assert Transform.lacks(Plain) == ""
    assert Transform.lacks(Narrow) == "its __call__ does not take (utterances, generator, corpus)"
    assert Transform.lacks(lambda one: one) == "its __call__ does not take (utterances, generator, corpus)"
    assert Corpus.lacks(Plain) == "it has no method load(row, start, stop)"
