"""Names of columns and of splits in tables, in many languages."""

from __future__ import annotations

from reacgan.data.names import TEST_NAMES, TRAIN_NAMES

PATHS = ("path", "file", "filename", "file_name", "image")
LABELS = ("label", "class", "target")

MORE_PATHS = frozenset(
    {
        "filepath", "file_path", "image_path", "img_path", "image_name", "imagename", "img_name",
        "image_file", "imagefile", "img", "images", "picture", "photo", "paths", "files", "filenames",
        "pfad", "datei", "dateiname", "dateipfad", "bild", "bilddatei", "bildpfad", "foto",
        "chemin", "fichier", "nom_fichier", "nom_du_fichier", "photographie",
        "ruta", "archivo", "fichero", "imagen", "percorso", "immagine", "nome_file",
        "caminho", "arquivo", "imagem", "pad", "bestand", "bestandsnaam", "afbeelding",
        "sökväg", "fil", "filnamn", "sti", "filnavn", "bilde", "billede", "polku", "tiedosto", "kuva",
        "ścieżka", "plik", "obraz", "zdjęcie", "cesta", "soubor", "obrázek", "fájl", "kép",
        "путь", "файл", "изображение", "картинка", "yol", "dosya", "resim", "görüntü",
        "路径", "文件", "文件名", "图片", "图像",
        "パス", "ファイル", "ファイル名", "画像", "경로", "파일", "이미지",
    }
)  # fmt: skip
MORE_LABELS = frozenset(
    {
        "labels", "classes", "targets", "class_name", "classname", "class_label", "label_name",
        "category", "klasse", "kategorie", "etikett", "bezeichnung", "classe", "étiquette", "catégorie",
        "clase", "etiqueta", "categoría", "categoria", "etichetta", "rótulo", "categorie", "klass",
        "kategori", "luokka", "klasa", "etykieta", "kategoria", "třída", "štítek", "osztály", "címke",
        "класс", "метка", "категория", "sınıf", "etiket", "类别", "类", "标签", "クラス", "ラベル", "분류",
        "클래스", "라벨",
    }
)  # fmt: skip
HINTED_LABELS = frozenset(
    {
        "species", "breed", "art", "sorte", "spezies", "gattung", "rasse", "espèce", "race", "especie",
        "raza", "specie", "razza", "espécie", "raça", "soort", "ras", "gatunek", "druh",
        "faj", "вид", "порода", "tür", "种类", "種類", "品种", "종류",
    }
)  # fmt: skip
"""Taken only without any of the names above."""
PATH_NAMES = (PATHS, MORE_PATHS)
LABEL_NAMES = (LABELS, MORE_LABELS, HINTED_LABELS)
"""Plain names of columns, the first set that a table has one of first."""
SPLITS = ("split",)
SPLIT_VALUES = ", ".join(TRAIN_NAMES + TEST_NAMES)

MORE_SPLITS = frozenset(
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
TRAIN_FLAGS = frozenset({"is_train", "is_training", "istrain"})
TEST_FLAGS = frozenset({"is_test", "istest", "is_val", "is_validation", "is_holdout", "held_out"})
FLAGS = TRAIN_FLAGS | TEST_FLAGS
DOUBTFUL = frozenset({"is_valid", "valid"})
YES = frozenset({"true", "1", "1.0", "yes"})
NO = frozenset({"false", "0", "0.0", "no"})
TRAIN = frozenset(
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
TEST = frozenset(
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
