// Reads a history, one operation a line of JSON (see ../history.py), and prints for each record whether porcupine
// finds it linearizable: "linearizable", "violated" or "unknown" (out of time).
//
// The model is a register that may be absent. A write whose outcome is not known may take effect at any time after
// its call or never, which is the same as ending after everything else. Many of those make a search long. So they
// are replaced by what they mean for a register with unique values, as ../checker.py explains; with -plain they are
// left as they are, and the tests compare the two.
//
// How many permissions are left is part of the state, which makes the search long where nothing explains a history.
// So it is first asked of a model in which one permission lasts for ever: what that cannot explain, nothing can.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

const absent = int64(-1)

type operation struct {
	Key   string `json:"key"`
	Kind  string `json:"kind"`
	Value *int64 `json:"value"`
	Call  int64  `json:"call"`
	End   *int64 `json:"end"`
}

// input is what porcupine hands to the model. wasRead: somebody read this value, so an update of it had an effect.
type input struct {
	kind    string
	value   int64
	wasRead bool
}

// state: the value, and how many unanswered deletes and upserts may still take effect.
type state struct {
	value            int64
	deletes, upserts int
}

func step(before, in, _ interface{}) (bool, interface{}) {
	now, op := before.(state), in.(input)
	switch op.kind {
	case "upsert":
		now.value = op.value
	case "delete":
		now.value = absent
	case "update":
		if now.value == absent {
			if !op.wasRead {
				return true, now
			}
			if now.upserts == 0 {
				return false, now
			}
			now.upserts--
		}
		now.value = op.value
	case "read":
		if op.value == absent && now.value != absent && now.deletes > 0 {
			now.deletes--
			now.value = absent
		}
		return now.value == op.value, now
	case "delete may come":
		now.deletes++
	case "upsert may come":
		now.upserts++
	default:
		panic("unknown kind of operation: " + op.kind)
	}
	return true, now
}

// laxStep is step with permissions that last for ever.
func laxStep(before, in, out interface{}) (bool, interface{}) {
	ok, after := step(before, in, out)
	was, now := before.(state), after.(state)
	now.deletes = min(1, max(now.deletes, was.deletes))
	now.upserts = min(1, max(now.upserts, was.upserts))
	return ok, now
}

// plainStep is the model without permissions. An update of an absent record has no effect; whether it should have
// had one shows in what is read.
func plainStep(before, in, _ interface{}) (bool, interface{}) {
	now, op := before.(int64), in.(input)
	switch op.kind {
	case "upsert":
		return true, op.value
	case "delete":
		return true, absent
	case "update":
		if now == absent {
			return true, now
		}
		return true, op.value
	case "read":
		return now == op.value, now
	}
	panic("unknown kind of operation: " + op.kind)
}

var (
	model = porcupine.Model{Init: func() interface{} { return state{value: absent} }, Step: step}
	lax   = porcupine.Model{Init: model.Init, Step: laxStep}
	plain = porcupine.Model{Init: func() interface{} { return absent }, Step: plainStep}
)

func check(history []operation, asIs bool, timeout time.Duration) porcupine.CheckResult {
	if asIs {
		return porcupine.CheckOperationsTimeout(plain, asTheyAre(history), timeout)
	}
	short := bounded(history)
	if result := porcupine.CheckOperationsTimeout(lax, short, timeout); result != porcupine.Ok {
		return result
	}
	return porcupine.CheckOperationsTimeout(model, short, timeout)
}

func value(op operation) int64 {
	if op.Value == nil {
		return absent
	}
	return *op.Value
}

func one(kind string, op operation, end int64, wasRead bool) porcupine.Operation {
	return porcupine.Operation{Input: input{kind, value(op), wasRead}, Call: op.Call, Return: end}
}

// asTheyAre: what did not end ends after everything.
func asTheyAre(history []operation) []porcupine.Operation {
	var found []porcupine.Operation
	for _, op := range history {
		if op.End != nil {
			found = append(found, one(op.Kind, op, *op.End, false))
		} else if op.Kind != "read" {
			found = append(found, one(op.Kind, op, math.MaxInt64, false))
		}
	}
	return found
}

// bounded: what was read ended with the first of those reads; what did not end, and was not read, is a permission.
func bounded(history []operation) []porcupine.Operation {
	readBy := map[int64]int64{}
	for _, op := range history {
		if op.Kind == "read" && op.End != nil {
			if end, found := readBy[value(op)]; !found || *op.End < end {
				readBy[value(op)] = *op.End
			}
		}
	}
	var found []porcupine.Operation
	for _, op := range history {
		end, wasRead := readBy[value(op)]
		writes := op.Kind == "upsert" || op.Kind == "update"
		if writes && wasRead {
			if op.End != nil {
				end = min(end, *op.End)
			}
			found = append(found, one(op.Kind, op, max(op.Call, end), true))
		} else if op.End != nil {
			found = append(found, one(op.Kind, op, *op.End, false))
		} else if op.Kind == "delete" || op.Kind == "upsert" {
			found = append(found, one(op.Kind+" may come", op, op.Call, false))
		}
	}
	return found
}

func read() (map[string][]operation, error) {
	keys := map[string][]operation{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var op operation
		if err := json.Unmarshal(lines.Bytes(), &op); err != nil {
			return nil, err
		}
		keys[op.Key] = append(keys[op.Key], op)
	}
	return keys, lines.Err()
}

func main() {
	timeout := flag.Duration("timeout", 60*time.Second, "for each record")
	asIs := flag.Bool("plain", false, "leave unanswered writes as they are: slow where there are many")
	flag.Parse()
	keys, err := read()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	verdicts := map[porcupine.CheckResult]string{
		porcupine.Ok: "linearizable", porcupine.Illegal: "violated", porcupine.Unknown: "unknown",
	}
	names := make([]string, 0, len(keys))
	for key := range keys {
		names = append(names, key)
	}
	sort.Strings(names)
	for _, key := range names {
		result := check(keys[key], *asIs, *timeout)
		answer, _ := json.Marshal(map[string]string{"key": key, "verdict": verdicts[result]})
		fmt.Println(string(answer))
	}
}
