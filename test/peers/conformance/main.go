// Command conformance compiles Rego cases to wasm and to plans, and says what OPA itself answers to them.
//
//	conformance suite -cases DIR -capabilities FILE -o ARCHIVE   every case of OPA's own suite
//	conformance batch -capabilities FILE                         cases from standard input, one JSON object a line
//
// `suite` writes an archive compressed with zstd; `batch` writes the same frames, plain, to standard output, in the order of
// the cases. frame.go says what a frame holds.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"github.com/open-policy-agent/opa/v1/ast"
)

// Modules share most of their bytes with the one before: the window has to hold a few.
const windowBytes = 8 << 20

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("which verb? suite or batch")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	folder := flags.String("cases", "", "folder that holds v0 and v1")
	out := flags.String("o", "", "archive to write")
	file := flags.String("capabilities", "", "capabilities of the host")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	capabilities, err := readCapabilities(*file)
	if err != nil {
		return err
	}
	switch args[0] {
	case "suite":
		return suite(*folder, *out, capabilities)
	case "batch":
		return batch(os.Stdin, os.Stdout, capabilities)
	}
	return fmt.Errorf("no verb %s", args[0])
}

func readCapabilities(file string) (*ast.Capabilities, error) {
	reader, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	return ast.LoadCapabilitiesJSON(reader)
}

func suite(folder, out string, capabilities *ast.Capabilities) error {
	cases, err := readSuite(folder)
	if err != nil {
		return err
	}
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	defer file.Close()
	packed, err := zstd.NewWriter(file, zstd.WithWindowSize(windowBytes))
	if err != nil {
		return err
	}
	next := 0
	source := func() (*question, error) {
		if next == len(cases) {
			return nil, io.EOF
		}
		next++
		return cases[next-1], nil
	}
	if err := answerAll(source, packed, capabilities); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	return file.Close()
}

func batch(in io.Reader, out io.Writer, capabilities *ast.Capabilities) error {
	lines := json.NewDecoder(bufio.NewReaderSize(in, 1<<20))
	// Numbers keep their digits.
	lines.UseNumber()
	source := func() (*question, error) {
		each := &question{version: ast.RegoV1, name: "batch"}
		return each, lines.Decode(&each.TestCase)
	}
	return answerAll(source, out, capabilities)
}

// answerAll keeps every processor busy and the frames in the order of the questions.
func answerAll(source func() (*question, error), out io.Writer, capabilities *ast.Capabilities) error {
	pending := make(chan chan *frame, 4*runtime.NumCPU())
	free := make(chan struct{}, runtime.NumCPU())
	failed := make(chan error, 1)
	go func() {
		defer close(pending)
		for {
			each, err := source()
			if err == io.EOF {
				return
			}
			if err != nil {
				failed <- err
				return
			}
			result := make(chan *frame, 1)
			pending <- result
			free <- struct{}{}
			go func() {
				result <- answer(each, capabilities)
				<-free
			}()
		}
	}()
	buffered := bufio.NewWriterSize(out, 1<<20)
	for result := range pending {
		if err := (<-result).write(buffered); err != nil {
			return err
		}
		// Whoever waits for an answer gets it before asking again.
		if len(pending) == 0 {
			if err := buffered.Flush(); err != nil {
				return err
			}
		}
	}
	select {
	case err := <-failed:
		return err
	default:
		return buffered.Flush()
	}
}
