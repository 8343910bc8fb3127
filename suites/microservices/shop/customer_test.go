package shop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// A customer has a browser, which knows the shop as https://shop.example, and nothing of what is behind it.
type customer struct {
	http *http.Client
	url  string
}

// A receipt is how the shop answers an order, or a question about one.
type receipt struct {
	Status     int    `json:"-"`
	RetryAfter string `json:"-"` // in seconds

	ID    string
	Items map[string]int
	Total int
	Paid  bool
	Note  string
}

// fill puts something into a cart.
func (c *customer) fill(cart, sku string, quantity int) error {
	response, err := c.ask(context.Background(), http.MethodPut, "/carts/"+cart+"/"+sku, "", map[string]int{"quantity": quantity}, nil)
	if err == nil && response.StatusCode != http.StatusNoContent {
		err = fmt.Errorf("the answer is %s", response.Status)
	}
	return err
}

// cart is what is in a cart. Without an answer it is nil.
func (c *customer) cart(cart string) (items map[string]int, err error) {
	_, err = c.ask(context.Background(), http.MethodGet, "/carts/"+cart, "", nil, &items)
	return items, err
}

// look looks at a product.
func (c *customer) look(sku string) (status int, err error) {
	response, err := c.ask(context.Background(), http.MethodGet, "/products/"+sku, "", nil, nil)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, nil
}

// order orders what is in a cart. Orders with the same key are the same order.
func (c *customer) order(ctx context.Context, key, cart string) (receipt, error) {
	return c.receipt(ctx, http.MethodPost, "/orders", key, map[string]string{"cart": cart, "note": "Ring twice."})
}

// remember is what the shop knows of an order.
func (c *customer) remember(id string) (receipt, error) {
	return c.receipt(context.Background(), http.MethodGet, "/orders/"+id, "", nil)
}

func (c *customer) receipt(ctx context.Context, method, path, key string, body any) (r receipt, err error) {
	response, err := c.ask(ctx, method, path, key, body, &r)
	if err != nil {
		return receipt{}, err
	}
	r.Status, r.RetryAfter = response.StatusCode, response.Header.Get("Retry-After")
	return r, nil
}

// ask sends a request. The answer is read if it is a good one.
func (c *customer) ask(ctx context.Context, method, path, key string, body, answer any) (*http.Response, error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, &content)
	if err != nil {
		return nil, err
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if answer != nil && response.StatusCode < 300 {
		err = json.NewDecoder(response.Body).Decode(answer)
	}
	return response, err
}
