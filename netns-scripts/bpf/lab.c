// The tc-bpf dataplane: what VLAN devices, skbedit and flower do on a kernel that has them.
//
//   host_egress  on the clsact egress of a host's uplink: pushes the 802.1Q tag, VID by subnet, PCP by DSCP
//   host_ingress on its clsact ingress: takes the tag off again
//   host_ingress_any  the same, but a frame that lost its tag on the way is taken as well
//   by_pcp       on the HTB of the congested port, without direct-action: returns the class of the tag's PCP
//   port_bleach, port_remark_0 to _7, port_strip  on the clsact egress of the switch's ports: a hostile switch
//
// PCP_BY_DSCP is the marking table as 64 comma-separated numbers; compile-bpf.sh passes it in.
// Section names must differ from function names, or the loader of tc takes one for the other.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#ifndef PCP_BY_DSCP
#error "compile with -DPCP_BY_DSCP=<64 numbers>; see compile-bpf.sh"
#endif

#define VLAN_MIGRATION 100
#define VLAN_TENANTS 200
#define FIRST_LEAF 0x10010 // class 1:10 is PCP 0, 1:17 is PCP 7

static const __u8 pcp_by_dscp[64] = {PCP_BY_DSCP};

struct fields {
	__u8 dscp;
	__u8 address[4]; // the sender's IPv4 address; its third number is the VID (10.77.VID.host)
};

// 0 when the frame is IPv4 or ARP and its sender is known, -1 otherwise.
static __always_inline int read_fields(struct __sk_buff *skb, struct fields *out)
{
	__u8 ds_field = 0;
	__u32 address_at;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN + 1, &ds_field, 1))
			return -1;
		address_at = ETH_HLEN + 12;
	} else if (skb->protocol == bpf_htons(ETH_P_ARP)) {
		address_at = ETH_HLEN + 14;
	} else {
		return -1;
	}
	out->dscp = ds_field >> 2;
	return bpf_skb_load_bytes(skb, address_at, out->address, 4);
}

SEC("host_egress")
int push_tag(struct __sk_buff *skb)
{
	struct fields fields = {};
	__u16 vid;

	// A frame that carries a tag already was made by hand (an injected capture) and leaves as it is.
	if (skb->vlan_present || skb->protocol == bpf_htons(ETH_P_8021Q))
		return TC_ACT_OK;
	// Anything without an address of the lab would travel untagged, which no VLAN switch would carry.
	if (read_fields(skb, &fields))
		return TC_ACT_SHOT;
	vid = fields.address[2];
	if (vid != VLAN_MIGRATION && vid != VLAN_TENANTS)
		return TC_ACT_SHOT;
	if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), vid | pcp_by_dscp[fields.dscp & 63] << 13))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

static __always_inline int take_tag(struct __sk_buff *skb)
{
	__u16 vid = skb->vlan_tci & 0xfff;

	if (!skb->vlan_present || (vid != VLAN_MIGRATION && vid != VLAN_TENANTS))
		return TC_ACT_SHOT;
	return bpf_skb_vlan_pop(skb) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("host_ingress")
int pop_tag(struct __sk_buff *skb)
{
	return take_tag(skb);
}

SEC("host_ingress_any")
int pop_tag_if_any(struct __sk_buff *skb)
{
	return skb->vlan_present ? take_tag(skb) : TC_ACT_OK;
}

SEC("by_pcp")
int class_of_tag(struct __sk_buff *skb)
{
	// An untagged frame has no priority: best effort, like PCP 0.
	return FIRST_LEAF + (skb->vlan_present ? skb->vlan_tci >> 13 & 7 : 0);
}

SEC("port_bleach")
int clear_dscp(struct __sk_buff *skb)
{
	__u16 old, cleared;

	// The first two bytes of an IPv4 header: version and length, then the DS field, whose ECN bits stay.
	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, ETH_HLEN, &old, 2))
		return TC_ACT_UNSPEC;
	cleared = old & bpf_htons(0xff03);
	if (bpf_l3_csum_replace(skb, ETH_HLEN + 10, old, cleared, 2) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN, &cleared, 2, 0))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC; // on to the next program
}

static __always_inline int remark(struct __sk_buff *skb, __u16 pcp)
{
	__u16 vid = skb->vlan_tci & 0xfff;

	if (!skb->vlan_present)
		return TC_ACT_UNSPEC;
	if (bpf_skb_vlan_pop(skb) || bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), vid | pcp << 13))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

#define PORT_REMARK(pcp)                                                                                               \
	SEC("port_remark_" #pcp) int set_pcp_##pcp(struct __sk_buff *skb)                                              \
	{                                                                                                              \
		return remark(skb, pcp);                                                                               \
	}
PORT_REMARK(0)
PORT_REMARK(1)
PORT_REMARK(2)
PORT_REMARK(3)
PORT_REMARK(4)
PORT_REMARK(5)
PORT_REMARK(6)
PORT_REMARK(7)

SEC("port_strip")
int strip_tag(struct __sk_buff *skb)
{
	return skb->vlan_present && bpf_skb_vlan_pop(skb) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char gpl[] SEC("license") = "GPL"; // as the kernel asks of programs that use its GPL helpers
