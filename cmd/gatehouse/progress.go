package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// line is a line on the terminal that is written over and over. say is nil
// where there is no terminal; done wipes the line away. What is quick says
// nothing. Both are safe for concurrent use.
func (p *program) line() (say func(text func() string), done func()) {
	f, ok := p.stderr.(*os.File)
	if !ok {
		return nil, func() {}
	}
	if fi, err := f.Stat(); err != nil || fi.Mode()&os.ModeCharDevice == 0 {
		return nil, func() {}
	}
	const every = 200 * time.Millisecond
	var mu sync.Mutex
	last, over := time.Now(), false
	say = func(text func() string) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); !over && now.Sub(last) >= every {
			last = now
			fmt.Fprintf(f, "\r%s\x1b[K", text())
		}
	}
	return say, func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		fmt.Fprint(f, "\r\x1b[K")
	}
}

// spin says what takes so long, and for how long, until stop is called.
func (p *program) spin(what string, more func() string) (stop func()) {
	say, done := p.line()
	if say == nil {
		return done
	}
	ended := make(chan struct{})
	began := time.Now()
	go func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				say(func() string {
					return fmt.Sprintf("%s %s (%v)", what, more(), time.Since(began).Round(time.Second))
				})
			}
		}
	}()
	return func() {
		close(ended)
		done()
	}
}

// fraction says how much of something is done.
func (p *program) fraction(what string) (told func(float64), done func()) {
	say, done := p.line()
	if say == nil {
		return nil, done
	}
	return func(x float64) {
		say(func() string {
			if x < 0 {
				return what
			}
			return fmt.Sprintf("%s %.0f %%", what, 100*min(x, 1))
		})
	}, done
}
