package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"google.golang.org/grpc"
)

// counters tells how many calls of each kind have reached the app.
type counters struct {
	mutex  sync.Mutex
	served map[string]int
}

func (c *counters) add(kind string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.served[kind]++
}

func serve(arguments []string) {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "where clients connect")
	_ = flags.Parse(arguments) // It exits by itself.
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	counts := &counters{served: make(map[string]int)}
	server := grpc.NewServer()
	server.RegisterService(&service, counts)
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		<-end
		server.Stop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
	report(counts.served)
}
