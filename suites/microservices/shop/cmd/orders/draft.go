package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// draft is the order of what is in a cart, at the prices of this moment.
func (o *orders) draft(ctx context.Context, cart, note string) (order, error) {
	d := order{ID: rand.Text(), Note: note}
	if err := o.ask(ctx, o.cart+"/carts/"+url.PathEscape(cart), &d.Items); err != nil {
		return order{}, err
	}
	if len(d.Items) == 0 {
		return order{}, errEmpty
	}
	for sku, quantity := range d.Items {
		var product struct{ Price int }
		if err := o.ask(ctx, o.catalog+"/products/"+url.PathEscape(sku), &product); err != nil {
			return order{}, err
		}
		d.Total += quantity * product.Price
	}
	return d, nil
}

// ask asks another service.
func (o *orders) ask(ctx context.Context, url string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := o.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
