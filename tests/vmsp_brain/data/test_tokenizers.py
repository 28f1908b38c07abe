"""A vocabulary is whole or not there, and what cannot be trained is explained."""

import io

import pytest
import sentencepiece

from vmsp_brain.data.tokenizers import (
    BLANK,
    BOS,
    EOS,
    UNKNOWN,
    coverage,
    load_tokenizer,
    train_tokenizer,
)

SENTENCES = [
    "l'home col·lecciona rellotges antics",
    "où est passée la sœur de Zoë ?",
    "die Straße ist 25 km lang",
    "the cat sat on the mat",
] * 3
SIZE = 42


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokenizers" / "asr_ca.model"


KINDS = pytest.mark.parametrize(
    ("model_type", "size"), [("unigram", SIZE), ("bpe", 60), ("char", 60)]
)


@KINDS
def test_text_survives_the_round_trip(path, model_type, size):
    train_tokenizer(path, SENTENCES, size, model_type)
    tokenizer = load_tokenizer(path)
    for sentence in SENTENCES:
        tokens = tokenizer.encode(sentence)
        assert tokenizer.decode(tokens) == sentence
        assert not {BLANK, BOS, EOS, UNKNOWN} & set(tokens)
        assert max(tokens) < size


@pytest.mark.parametrize("model_type", ["unigram", "bpe", "char"])
def test_vocabulary_has_the_size_asked_for(path, model_type):
    train_tokenizer(path, SENTENCES, SIZE, model_type)
    assert load_tokenizer(path).get_piece_size() == SIZE


def test_special_tokens_are_where_the_heads_expect_them(path):
    train_tokenizer(path, SENTENCES, SIZE)
    tokenizer = load_tokenizer(path)
    assert [tokenizer.pad_id(), tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.unk_id()] == [
        BLANK,
        BOS,
        EOS,
        UNKNOWN,
    ]
    assert UNKNOWN in tokenizer.encode("日本")


def test_empty_text_has_no_tokens(path):
    train_tokenizer(path, SENTENCES, SIZE)
    assert load_tokenizer(path).encode("") == []


def test_same_text_gives_the_same_model(tmp_path):
    for name in ("first", "second"):
        train_tokenizer(tmp_path / name, SENTENCES, SIZE)
    vocabularies = [load_tokenizer(tmp_path / name) for name in ("first", "second")]
    pieces = [[v.id_to_piece(i) for i in range(SIZE)] for v in vocabularies]
    assert pieces[0] == pieces[1]


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_too_large_a_vocabulary_is_refused_with_the_largest_possible(path, model_type):
    with pytest.raises(ValueError, match=rf"{path.name}.* 5000 ") as refused:
        train_tokenizer(path, SENTENCES, 5000, model_type)
    largest = int(str(refused.value).partition("at most ")[2].partition(".")[0])
    assert not path.exists()
    with pytest.raises(ValueError):
        train_tokenizer(path, SENTENCES, largest + 1, model_type)
    train_tokenizer(path, SENTENCES, largest, model_type)
    assert load_tokenizer(path).get_piece_size() == largest


@pytest.mark.parametrize("model_type", ["unigram", "char"])
def test_too_small_a_vocabulary_is_refused_with_the_smallest_possible(path, model_type):
    characters = len({*"".join(SENTENCES)}) + 4  # the space counts, as ▁
    with pytest.raises(ValueError, match=rf"at least {characters}\."):
        train_tokenizer(path, SENTENCES, 8, model_type)
    assert not path.exists()


def test_tokens_of_characters_are_characters_and_the_rest_write_nothing(path):
    train_tokenizer(path, SENTENCES, 60, "char")
    tokenizer = load_tokenizer(path)
    text = SENTENCES[0]
    assert [tokenizer.id_to_piece(token) for token in tokenizer.encode(text)] == [
        *f"▁{text}".replace(" ", "▁")
    ]
    used = {token for sentence in SENTENCES for token in tokenizer.encode(sentence)}
    unused = [token for token in range(UNKNOWN + 1, 60) if token not in used]
    assert len(unused) == 60 - 4 - len({*"".join(SENTENCES)})
    assert tokenizer.decode(unused) == "", "what an untrained head may say"


def test_an_unknown_model_type_is_refused_by_name(path):
    with pytest.raises(ValueError, match="expected one of unigram, bpe, char"):
        train_tokenizer(path, SENTENCES, SIZE, "sylable")


def test_characters_too_rare_for_the_vocabulary_are_counted(path, caplog):
    train_tokenizer(path, [*SENTENCES * 2000, "Ω"], SIZE)
    assert f"{path.name}: 1 of " in caplog.text
    assert load_tokenizer(path).encode("Ω")[-1] == UNKNOWN


@KINDS
def test_coverage_counts_what_becomes_unknown(path, model_type, size):
    train_tokenizer(path, SENTENCES, size, model_type)
    tokenizer = load_tokenizer(path)
    others = ["the cat", "the ĉat saß", "ĉ ĉ", "日本", ""]
    found = coverage(tokenizer, others)
    pieces = [tokenizer.encode(text, return_type="proto").pieces for text in others]
    unknown = [sum(len(p.surface) for p in own if p.id == UNKNOWN) for own in pieces]
    assert found.unknown_characters == sum(unknown) == 5
    assert found.sentences_with_unknown == sum(map(bool, unknown)) == 3
    assert (found.sentences, found.characters) == (len(others), sum(map(len, others)))
    assert found.letters == "ĉ日本"
    assert coverage(tokenizer, SENTENCES).unknown_share == 0


def test_existing_model_is_kept(path):
    train_tokenizer(path, SENTENCES, SIZE)
    before = path.read_bytes()
    train_tokenizer(path, ["something else entirely"], 1_000_000)
    assert path.read_bytes() == before


def test_half_written_model_never_has_the_final_name(path, monkeypatch):
    def killed(*, model_writer: io.BufferedWriter, **_):
        model_writer.write(b"half a mod")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sentencepiece.SentencePieceTrainer, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            train_tokenizer(path, SENTENCES, SIZE)
    assert not path.exists()
    train_tokenizer(path, SENTENCES, SIZE)  # what is left does not stand in the way
    assert load_tokenizer(path).get_piece_size() == SIZE
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [b"", b"not a model", "half"])
def test_damaged_model_is_named(path, content):
    train_tokenizer(path, SENTENCES, SIZE)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(ValueError, match=rf"{path} is not a SentencePiece model.*output_folder"):
        load_tokenizer(path)


def test_no_text_is_refused(path):
    with pytest.raises(ValueError, match=rf"{path.name}: there is no text"):
        train_tokenizer(path, iter([]), 50)


@pytest.mark.parametrize("sentences", [["", ""], ["  "]])
def test_blank_text_is_no_text(path, sentences):
    with pytest.raises(ValueError, match=rf"{path.name}: there is no text"):
        train_tokenizer(path, sentences, 50)
