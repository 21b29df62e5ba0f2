"""Which column of a table is the split, and what its values mean, in the languages of ``columns.py``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reacgan.data.names import TEST_NAMES, TRAIN_NAMES, SplitWord, class_name_of, shown

SPLITS = ("split",)
ALLOWED = ", ".join(TRAIN_NAMES + TEST_NAMES)

_USUAL = frozenset(
    {
        "splits", "set", "subset", "partition", "phase", "fold", "usage", "dataset_split",
        "data_split", "split_name", "set_name", "set_type", "dataset", "stage", "purpose",
        "aufteilung", "teilmenge", "menge", "datensatz", "satz", "teil", "verwendung",
        "ensemble", "jeu", "sous-ensemble", "répartition", "conjunto", "subconjunto", "partición",
        "división", "insieme", "partizione", "suddivisione", "sottoinsieme", "divisão", "partição",
        "deelverzameling", "verdeling", "delmängd", "uppdelning", "delmængde", "opdeling",
        "delmengde", "inndeling", "osajoukko", "jako", "zestaw", "podział", "zbiór", "podzbiór",
        "sada", "rozdělení", "množina", "podmnožina", "halmaz", "részhalmaz", "felosztás",
        "выборка", "разбиение", "набор", "подмножество", "küme", "alt_küme", "bölüm", "ayrım",
        "划分", "数据集", "子集", "集合", "区分", "分割", "用途", "データ区分", "구분", "분할", "용도",
        "데이터셋",
    }
)  # fmt: skip
_TRAIN_FLAGS = frozenset({"is_train", "is_training", "istrain"})
_TEST_FLAGS = frozenset({"is_test", "istest", "is_val", "is_validation", "is_holdout", "held_out"})
_FLAGS = _TRAIN_FLAGS | _TEST_FLAGS
_DOUBTFUL = frozenset({"is_valid", "valid"})
_YES = frozenset({"true", "1", "1.0", "yes"})
_NO = frozenset({"false", "0", "0.0", "no"})
_TRAIN = frozenset(
    {
        *TRAIN_NAMES, "trainset", "trainingset", "traindata", "trainingdata", "learn", "learning",
        "lern", "lernen", "lernmenge", "lerndaten", "lernset", "trainieren", "trainingsmenge",
        "trainingsdaten", "trainingsset", "trainingssatz", "apprentissage", "entraînement",
        "entrainement", "entrenamiento", "aprendizaje", "addestramento", "allenamento",
        "apprendimento", "treino", "treinamento", "aprendizagem", "trainen", "leren", "leerset",
        "träning", "träningsdata", "inlärning", "træning", "træningssæt", "træningsdata", "trening",
        "treningssett", "treningsdata", "koulutus", "opetus", "harjoitus", "treningowy",
        "treningowa", "treningowe", "uczący", "ucząca", "uczące", "uczenie", "nauka",
        "zbióruczący", "zbiórtreningowy", "trénovací", "trénink", "trénování", "učení", "učicí",
        "tanító", "tanítás", "tanuló", "betanítás", "обучение", "обучающая", "обучающий",
        "обучающаявыборка", "тренировка", "тренировочная", "тренировочный", "трейн", "eğitim",
        "öğrenme", "训练", "训练集", "訓練", "訓練集", "学習", "学習用", "訓練用", "学習データ",
        "訓練データ", "トレーニング", "학습", "학습용", "훈련", "훈련용", "학습데이터", "훈련데이터",
    }
)  # fmt: skip
_TEST = frozenset(
    {
        *TEST_NAMES, "tests", "testset", "testdata", "valset", "validset", "validationset", "devset",
        "holdout", "heldout", "publictest", "privatetest", "testmenge", "testdaten", "testsatz",
        "prüf", "prüfen", "prüfung", "prüfmenge", "prüfdaten", "prüfset", "validierung",
        "validierungsmenge", "validierungsdaten", "evaluierung", "essai", "essais", "évaluation",
        "prueba", "pruebas", "validación", "evaluación", "prova", "verifica", "validazione",
        "valutazione", "collaudo", "teste", "testes", "validação", "avaliação", "testen",
        "validatie", "evaluatie", "testning", "validering", "utvärdering", "evaluering", "testi",
        "testaus", "validointi", "arviointi", "testowy", "testowa", "testowe", "walidacja",
        "walidacyjny", "walidacyjna", "walidacyjne", "sprawdzający", "zbiórtestowy", "testovací",
        "testování", "validační", "validace", "teszt", "tesztelés", "validálás", "validációs",
        "ellenőrzés", "тест", "тестовая", "тестовый", "тестоваявыборка", "проверка", "проверочная",
        "валидация", "валидационная", "контрольная", "sınama", "doğrulama", "değerlendirme", "测试",
        "测试集", "測試", "測試集", "验证", "验证集", "驗證", "テスト", "テスト用", "評価", "評価用",
        "検証", "検証用", "テストデータ", "評価データ", "検証データ",
        "테스트", "테스트용", "시험", "검증", "검증용", "평가",
    }
)  # fmt: skip
_JOINTS = re.compile(r"[\s_\-'’.]+")


class SplitsError(ValueError):
    """Several columns that may be the split."""


def meaning(value: str, name: str = "") -> SplitWord:
    """What a value of a column says; nothing where it is no word of a split.

    ``name`` is the column's, plain: in ``is_test`` True and 1 are test, False and 0 are train.
    """
    word = _JOINTS.sub("", class_name_of(value).strip().casefold())
    if name in _FLAGS:
        text = value.strip().casefold()
        if text not in _YES | _NO:
            return ""
        return "train" if (text in _YES) == (name in _TRAIN_FLAGS) else "test"
    if word in _TRAIN:
        return "train"
    return "test" if word in _TEST else ""


def find_split(
    names: Sequence[str], rows: Sequence[Sequence[str]], taken: Sequence[int | None]
) -> int | None:
    """The column of the split: called so, called as is usual, or one whose values say both parts.

    Of a usual name most values are words of a split; of any other name all are.

    Raises:
        SplitsError: several that say different things.
    """
    free = [place for place, name in enumerate(names) if place not in taken]
    documented = [place for place in free if names[place] in SPLITS]
    if documented:
        if len(documented) > 1:
            raise SplitsError("names the column split twice; leave one out")
        return documented[0]
    said = {place: [meaning(row[place], names[place]) for row in rows] for place in free}
    given = {place: sum(bool(row[place].strip()) for row in rows) for place in free}
    known = {place: sum(map(bool, said[place])) for place in free}
    usual = [one for one in free if _is_usual(names[one]) and 2 * known[one] > given[one] > 0]
    others = [
        place
        for place in free
        if names[place] and known[place] == given[place] and {"train", "test"} <= set(said[place])
    ]
    candidates = usual or others
    for further in candidates[1:]:
        if said[further] != said[candidates[0]]:
            both = f"{names[candidates[0]]} and {names[further]}"
            raise SplitsError(
                f"has the columns {both}, of which both may be the split and which differ; "
                "rename the one that is meant to split"
            )
    return candidates[0] if candidates else None


def split_taken(title: str, name: str, values: Sequence[str]) -> str:
    """That a column is taken for the split, and how its values are: ``Lernmenge is train``."""
    said = {value.strip(): meaning(value, name) for value in sorted(set(values))}
    foreign = [
        f"{value} is {kind}" for value, kind in said.items() if kind and value.casefold() != kind
    ]
    ending = f" ({shown(foreign, 6)})" if foreign else ""
    return f"column {title.strip()} is taken for the split{ending}"


def unread_note(
    header: Sequence[str],
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    used: Sequence[int],
    split: int | None,
) -> str:
    """Every column that is not read, and which of them may be the split where there is none."""
    unread, doubtful = [], []
    for place, name in enumerate(names):
        values = [text for row in rows if (text := row[place].strip())]
        if place in used or not (name or values):
            continue
        title = header[place].strip().strip("\ufeff") or f"column {place + 1} without a name"
        words = sum(bool(meaning(value)) for value in values)
        if split is None and (_is_usual(name) or name in _DOUBTFUL or 2 * words > len(values)):
            doubtful.append(title)
            title += f" ({shown([value[:40] for value in dict.fromkeys(values)], 3)})"
        unread.append(title)
    if not unread:
        return ""
    note = f"columns not read: {shown(unread, 40)}"
    if doubtful:
        note += (
            f"; if {' or '.join(doubtful[:3])} is the split, call it split and its values train and "
            "test"
        )
    return note


def _is_usual(name: str) -> bool:
    return name in _USUAL or name in _FLAGS
