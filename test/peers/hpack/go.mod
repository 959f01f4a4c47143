module sluice.dev/peers/hpack

go 1.26.8

require golang.org/x/net v0.58.0
