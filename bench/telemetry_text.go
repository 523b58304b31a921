package main

import (
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tongue is a model of one language, rough but with the entropy of text: a few
// words come very often and most seldom, words are made of few syllables, and
// sentences end. Random bytes would flatter whoever skips, and one text
// repeated whoever compresses.
type tongue struct {
	common    string // words that every text has
	syllables string // of which the others are made
	end       string // of a sentence
	space     string // between words
	words     []string
}

var tongues = []*tongue{
	{common: english, syllables: "ba con der en fi gra ho in ka lo men ner or pla qui ra ster ti un ver wa y tion ing ed al ic ous ple sh th ment ward ly", end: ". ", space: " "},
	{common: "der die das und in zu den mit von für auf ist nicht ein eine sich dem des im wird auch es an als nach wie bei oder Modell Frage Daten Antwort Kunde", syllables: "be ge ver ent lich keit ung heit schaft stein wald berg ha lau fen schrei ben ord nung kla rei se ta ge zei ten", end: ". ", space: " "},
	{common: "de la que el en y a los se del las un por con no una su para es al lo como más pero sus le ya modelo datos pregunta respuesta", syllables: "ca mi no pa la bra ción dad ta do ra men te so lu ri es tru co ni ve lo gen te fá bri", end: ". ", space: " "},
	{common: "le la les de des un une et à est que qui dans pour pas sur avec ce il elle sont plus par mais ou modèle données question réponse", syllables: "ma chi ne li vre pen ser eau vi lle té tion ment ra con ter por te fe nê tre jar din mai son", end: ". ", space: " "},
	{common: "の に は を た が で て と し れ さ ある いる する から など です ます モデル 質問 回答", syllables: "東 京 会 社 学 生 時 間 電 車 手 紙 海 山 新 聞 仕 事 料 理 開 発 計 画 分 析 報 告 データ ファイル サーバ", end: "。", space: ""},
}

// english holds the words that hunts look for too, as rare there as in life.
const english = `the of and to in a is that for it as was with be by on not he this are or his from at which but have an had
	they you were there one all we can her has been if more when will would who so no please write explain summarize list
	code function error table file user customer order report meeting email project team time data question answer`

// rareEnglish are words at ranks where one prompt in some dozens has one.
var rareEnglish = strings.Fields("model prompts training account password policy confidential invoice contract database deploy security incident")

// learn makes the words of the languages.
func learn(seed uint64) {
	for i, t := range tongues {
		if len(t.words) > 0 {
			continue
		}
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		t.words = strings.Fields(t.common)
		syllables := strings.Fields(t.syllables)
		for len(t.words) < 12_000 {
			var b strings.Builder
			for range 1 + r.IntN(2) + r.IntN(3) {
				b.WriteString(syllables[r.IntN(len(syllables))])
			}
			t.words = append(t.words, b.String())
		}
		if i == 0 {
			for k, w := range rareEnglish {
				t.words[300+40*k] = w
			}
		}
	}
}

// writer writes texts of one language.
type writer struct {
	t    *tongue
	rank *rand.Zipf
	r    *rand.Rand
}

// writers has one for each language; English writes most.
func writers(r *rand.Rand) (all []*writer) {
	for _, t := range tongues {
		all = append(all, &writer{t, rand.NewZipf(r, 1.15, 4, uint64(len(t.words)-1)), r})
	}
	return all
}

// text writes about n bytes of sentences, in paragraphs.
func (w *writer) text(n int) string {
	var b strings.Builder
	for b.Len() < n {
		for i := range 4 + w.r.IntN(14) {
			word := w.t.words[w.rank.Uint64()]
			if i == 0 {
				first, size := utf8.DecodeRuneInString(word)
				word = string(unicode.ToUpper(first)) + word[size:]
			} else {
				b.WriteString(w.t.space)
			}
			b.WriteString(word)
		}
		b.WriteString(w.t.end)
		if w.r.IntN(6) == 0 {
			b.WriteString("\n\n")
		}
	}
	return strings.TrimSpace(b.String())
}

// length is a number of bytes around a median, now and then many times that, as
// people's texts are.
func length(r *rand.Rand, median, most float64) int {
	n := median
	for range 3 {
		n *= 0.5 + 1.2*r.Float64() + 0.05*r.ExpFloat64()*r.ExpFloat64()
	}
	if r.IntN(50) == 0 {
		n *= 2 + 10*r.Float64()
	}
	return int(min(n, most))
}
