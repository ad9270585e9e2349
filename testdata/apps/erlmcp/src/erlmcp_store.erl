%% @doc The sessions of clients, each forgotten an hour after its last use.
-module(erlmcp_store).
-behaviour(gen_server).

-export([start_link/0, create/1, touch/1, count/0, sweep/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(TTL, 3600).
-define(SWEEP, 60000).

start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% @doc Begins a session, and gives its id.
create(Client) ->
    gen_server:call(?MODULE, {create, Client}).

touch(Id) ->
    gen_server:call(?MODULE, {touch, Id}).

count() ->
    ets:info(?MODULE, size).

%% @doc Forgets what was not used since a moment, in monotonic seconds.
sweep(Before) ->
    gen_server:call(?MODULE, {sweep, Before}).

init([]) ->
    ets:new(?MODULE, [named_table, protected]),
    erlang:send_after(?SWEEP, self(), sweep),
    {ok, none}.

handle_call({create, Client}, _From, State) ->
    Id = id(),
    ets:insert(?MODULE, {Id, Client, now_s()}),
    {reply, Id, State};
handle_call({touch, Id}, _From, State) ->
    {reply, ets:update_element(?MODULE, Id, {3, now_s()}), State};
handle_call({sweep, Before}, _From, State) ->
    {reply, forget(Before), State}.

handle_cast(_, State) ->
    {noreply, State}.

handle_info(sweep, State) ->
    forget(now_s() - ?TTL),
    erlang:send_after(?SWEEP, self(), sweep),
    {noreply, State};
handle_info(_, State) ->
    {noreply, State}.

forget(Before) ->
    ets:select_delete(?MODULE, [{{'_', '_', '$1'}, [{'<', '$1', Before}], [true]}]).

now_s() ->
    erlang:monotonic_time(second).

id() ->
    iolist_to_binary(io_lib:format("~32.16.0b", [rand:uniform(1 bsl 128) - 1])).
