package duck

// Pids are the processes of the children that live.
func (c *Children) Pids() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pids []int
	for ch := range c.all {
		if ch.alive() {
			pids = append(pids, ch.cmd.Process.Pid)
		}
	}
	return pids
}

// AwaitDeaths waits until no child lives.
func (c *Children) AwaitDeaths() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ch := range c.all {
		<-ch.dead
	}
}

// CloseStdin is what children see when this process dies.
func (c *Children) CloseStdin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ch := range c.all {
		ch.in.Close()
	}
}
