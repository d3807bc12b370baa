// rpcs serves and makes gRPC calls of all four kinds, and counts them at either end.
//
//	rpcs serve --listen ADDRESS          on SIGTERM, prints how many calls of each kind it has served
//	rpcs call --to ADDRESS --calls N …   prints how many calls of each kind ended with which status
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("rpcs: expected 'serve' or 'call'")
	}
	switch arguments := os.Args[2:]; os.Args[1] {
	case "serve":
		serve(arguments)
	case "call":
		call(arguments)
	default:
		log.Fatalf("rpcs: expected 'serve' or 'call', not %q", os.Args[1])
	}
}

// report prints the result on a line of its own.
func report(result any) {
	line, err := json.Marshal(result)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}
