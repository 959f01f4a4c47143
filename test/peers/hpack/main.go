// Command hpack answers questions about HPACK, one a line, one line each: another implementation's opinion.
//
//	decode <hex>     -> {"headers":[["<hex name>","<hex value>"],...]} or {"error":"..."}
//	encode <json>    -> {"block":"<hex>"} of [["<hex name>","<hex value>"],...]
//	max <n>          -> {}: the decoder's dynamic table, and how large a block may make it
//	tablesize <n>    -> {}: the encoder's dynamic table from its next block on
//	reset            -> {}: a new decoder and a new encoder
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// What both sides of a connection begin with (RFC 7541, section 4.2, by RFC 9113, section 6.5.2).
const initialTableBytes = 4096

type answer struct {
	Headers *[][2]string `json:"headers,omitempty"`
	Block   *string      `json:"block,omitempty"`
	Error   string       `json:"error,omitempty"`
}

type codec struct {
	decoder *hpack.Decoder
	encoder *hpack.Encoder
	block   *bytes.Buffer
}

func newCodec() *codec {
	block := &bytes.Buffer{}
	return &codec{hpack.NewDecoder(initialTableBytes, nil), hpack.NewEncoder(block), block}
}

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	current := newCodec()
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		command, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
		if command == "reset" {
			current = newCodec()
		}
		if err := json.NewEncoder(out).Encode(current.ask(command, argument)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		out.Flush()
	}
}

func (c *codec) ask(command, argument string) answer {
	var result answer
	var err error
	switch command {
	case "decode":
		result, err = c.decode(argument)
	case "encode":
		result, err = c.encode(argument)
	case "max", "tablesize":
		var size uint64
		if size, err = strconv.ParseUint(argument, 10, 32); err != nil {
			break
		}
		if command == "max" {
			c.decoder.SetAllowedMaxDynamicTableSize(uint32(size))
			c.decoder.SetMaxDynamicTableSize(uint32(size))
		} else {
			c.encoder.SetMaxDynamicTableSize(uint32(size))
		}
	case "reset":
	default:
		err = fmt.Errorf("no such question: %q", command)
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	return result
}

func (c *codec) decode(text string) (answer, error) {
	block, err := hex.DecodeString(text)
	if err != nil {
		return answer{}, err
	}
	fields, err := c.decoder.DecodeFull(block)
	if err != nil {
		return answer{}, err
	}
	headers := make([][2]string, 0, len(fields))
	for _, field := range fields {
		headers = append(headers, [2]string{
			hex.EncodeToString([]byte(field.Name)), hex.EncodeToString([]byte(field.Value)),
		})
	}
	return answer{Headers: &headers}, nil
}

func (c *codec) encode(text string) (answer, error) {
	var headers [][2]string
	if err := json.Unmarshal([]byte(text), &headers); err != nil {
		return answer{}, err
	}
	c.block.Reset()
	for _, header := range headers {
		name, err := hex.DecodeString(header[0])
		if err != nil {
			return answer{}, err
		}
		value, err := hex.DecodeString(header[1])
		if err != nil {
			return answer{}, err
		}
		if err := c.encoder.WriteField(hpack.HeaderField{Name: string(name), Value: string(value)}); err != nil {
			return answer{}, err
		}
	}
	block := hex.EncodeToString(c.block.Bytes())
	return answer{Block: &block}, nil
}
