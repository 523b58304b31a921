package parse

import (
	"github.com/valyala/fastjson"

	"gatehouse/internal/telemetry/value"
)

func appendJSON(dst []byte, v *fastjson.Value) []byte { return value.Append(dst, v) }

func appendText(dst, s []byte) []byte { return value.AppendText(dst, s) }
